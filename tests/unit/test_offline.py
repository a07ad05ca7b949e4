"""The network is really cut: a server that can be reached otherwise cannot be reached from inside."""

import os
import socket
import subprocess
import sys

import pytest

from anime_growth import offline
from anime_growth.errors import InputError

CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5); print('reached')"
OTHER_WAYS = {
    "a name": "import socket; socket.getaddrinfo('localhost', 80)",
    "a datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "a page": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
    "a child": f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {CONNECT!r}, '9']).returncode)",
}
AMONG_PROCESSES = """
import asyncio, multiprocessing, socket, sys
left, right = socket.socketpair(); left.send(b"x"); assert right.recv(1) == b"x"
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen()
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
asyncio.run(asyncio.sleep(0))
ours, theirs = multiprocessing.Pipe(); ours.send(1); assert theirs.recv() == 1
print("reached")
"""


@pytest.fixture
def server():
    """A server on this machine; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(params=["a network namespace", "Python's own refusal"])
def cut(request, tmp_path, monkeypatch):
    """Both ways to cut the network: words before a command, and its environment."""
    if request.param != "a network namespace":
        monkeypatch.setattr(offline, "_has_namespaces", lambda: False)
    elif not offline._has_namespaces():
        pytest.skip("this machine lets nobody make a network namespace")
    before, variables = offline.cut(tmp_path)
    assert variables[offline.VARIABLE].startswith(request.param)
    return before, {**os.environ, **variables}


def python(code, *arguments, cut=((), None)):
    before, environment = cut
    command = [*before, sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_a_server_that_can_be_reached_cannot_be_reached_from_inside(cut, server):
    assert python(CONNECT, server).stdout == "reached\n"
    inside = python(CONNECT, server, cut=cut)
    assert inside.returncode != 0 and "reached" not in inside.stdout
    assert "OSError" in inside.stderr or "PermissionError" in inside.stderr or "ConnectionRefused" in inside.stderr


def test_python_itself_refuses_every_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "_has_namespaces", lambda: False)
    before, variables = offline.cut(tmp_path)
    for way, code in OTHER_WAYS.items():
        inside = python(code, cut=(before, {**os.environ, **variables}))
        assert inside.returncode != 0 and "the network is cut for this command" in inside.stderr, way


def test_what_processes_of_one_machine_tell_each_other_goes_on(cut, tmp_path):
    done = python(AMONG_PROCESSES, tmp_path / "socket", cut=cut)
    assert done.stdout == "reached\n", done.stderr


def test_inside_one_knows_how_it_is_cut(cut):
    _, environment = cut
    inside = python("from anime_growth import offline; print(offline.told())", cut=cut)
    assert inside.stdout.strip() == f"cut by {environment[offline.VARIABLE]}", inside.stderr


def test_outside_it_is_not_cut_or_out_of_reach(monkeypatch):
    monkeypatch.setattr(offline, "_is_cut", lambda: False)
    assert offline.told() == "not cut"
    monkeypatch.setattr(offline, "_is_cut", lambda: True)
    assert offline.told() == "out of reach"


def test_a_network_that_should_be_cut_and_is_not_is_an_error(monkeypatch):
    monkeypatch.setattr(offline, "_is_cut", lambda: False)
    monkeypatch.setenv(offline.VARIABLE, "scissors")
    with pytest.raises(InputError, match="says that the network is cut, but it can be reached"):
        offline.told()
