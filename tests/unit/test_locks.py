"""One command at a time in a folder; a lock whose holder is gone is taken over."""

import os
import resource
import socket
import subprocess
import sys
import threading
import time

import pytest

from anime_growth import locks, paths
from anime_growth.errors import InputError, Locked


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    return tmp_path / "runs"


def leave(folder, *lines):
    """A lock that says this."""
    folder.mkdir()
    (folder / locks.NAME).write_text("".join(f"{line}\n" for line in lines))


def gone():
    """The pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_it_is_held_inside_and_free_afterwards(folder):
    with locks.held(folder):
        assert (folder / locks.NAME).read_text().split()[0] == str(os.getpid())
    assert list(folder.iterdir()) == []


def test_what_is_no_folder_is_named_and_left(folder):
    folder.write_text("mine")
    for place in (folder, folder / "deeper"):
        with pytest.raises(InputError, match=r"^runs: is no folder\. Move it away\.$"), locks.held(place):
            pass
    assert folder.read_text() == "mine"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="only Linux has a folder that takes no files")
def test_a_folder_that_takes_no_files_is_named(folder):
    folder.symlink_to("/proc")
    with pytest.raises(InputError, match="runs: takes no files. Let it be a folder on a disk"), locks.held(folder):
        pass


def test_under_a_limit_that_no_run_can_live_with_one_is_told_so_beforehand(folder, monkeypatch):
    leave(folder, gone(), socket.gethostname())
    monkeypatch.setattr("resource.getrlimit", lambda _: (locks.OPEN_FILES - 1, 4096))
    with pytest.raises(
        InputError, match="limit on open files: it is 255, and a run needs 256. Raise it: ulimit -n 256"
    ):
        locks.held(folder).__enter__()
    monkeypatch.setattr("resource.getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with locks.held(folder):
        pass


def test_it_is_free_after_an_error(folder):
    with pytest.raises(ZeroDivisionError), locks.held(folder):
        _ = 1 / 0
    assert list(folder.iterdir()) == []


def test_while_another_process_holds_it_one_is_told_who_and_what_to_do(folder):
    leave(folder, os.getppid(), socket.gethostname())
    begun = time.monotonic()
    with (
        pytest.raises(Locked, match=rf"runs: process {os.getppid()} is at work here. .* --wait SECONDS"),
        locks.held(folder),
    ):
        pass
    assert time.monotonic() - begun < 1
    assert (folder / locks.NAME).exists()


def test_one_can_wait_until_the_other_has_ended(folder):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"]) as other:
        leave(folder, other.pid, socket.gethostname())
        with pytest.raises(Locked), locks.held(folder, wait_seconds=0.1):
            pass
        threading.Thread(target=other.wait).start()
        with locks.held(folder, wait_seconds=20):
            assert other.poll() == 0


@pytest.mark.parametrize("token", [[], [1]])
def test_a_lock_of_a_process_that_is_gone_is_taken_over(folder, token):
    leave(folder, gone(), socket.gethostname(), *token)
    with locks.held(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_lock_whose_pid_has_been_given_to_another_process_is_taken_over(folder):
    leave(folder, os.getppid(), socket.gethostname(), 1)
    with locks.held(folder):
        pass


def test_a_lock_of_another_machine_is_not_and_one_is_told_what_to_do(folder):
    leave(folder, gone(), "elsewhere")
    with (
        pytest.raises(Locked, match=r"if it runs on another machine that is gone, remove runs/\.lock"),
        locks.held(folder),
    ):
        pass


@pytest.mark.parametrize("content", ["", "\0", "no lock\n"])
def test_a_damaged_lock_is_taken_over_even_if_one_does_not_wait(folder, monkeypatch, content):
    monkeypatch.setattr(locks, "NAMED_SECONDS", 0.1)
    folder.mkdir()
    (folder / locks.NAME).write_text(content)
    with locks.held(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_fresh_lock_that_is_just_being_written_is_not_damaged(folder, monkeypatch):
    """Another has made its lock and names itself only a moment later."""
    folder.mkdir()
    path = folder / locks.NAME
    path.touch()

    def meanwhile(_):
        path.write_text(f"{os.getppid()}\n{socket.gethostname()}\n")

    monkeypatch.setattr(locks.time, "sleep", meanwhile)
    monkeypatch.setattr(locks, "DAMAGED_SECONDS", 0.1)
    with pytest.raises(Locked, match=f"process {os.getppid()}"), locks.held(folder):
        pass


def test_a_folder_in_place_of_the_lock_is_told_of(folder):
    (folder / locks.NAME).mkdir(parents=True)
    with pytest.raises(IsADirectoryError), locks.held(folder):
        pass
