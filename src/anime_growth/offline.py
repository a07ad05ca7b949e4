"""The network cut for a command and all it starts, and how one knows that it is cut.

A network namespace of Linux cuts it for every process. Where that is not to be had, Python itself refuses
every socket but those of the file system, in each Python process that the command starts.
"""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from anime_growth.errors import InputError

# Names, to the command itself, how its network was cut.
VARIABLE = "ANIME_GROWTH_OFFLINE"
NAMESPACE = ("unshare", "--map-root-user", "--net")
# An address that belongs to nobody (RFC 5737). Connecting a datagram socket to it sends nothing.
NOBODY = ("192.0.2.1", 9)
NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")


def cut(folder: Path) -> tuple[list[str], dict[str, str]]:
    """What cuts the network for a command: words before it, and variables for its environment.

    `folder` is an empty one, kept as long as the command runs.
    """
    if _has_namespaces():
        return [*NAMESPACE], {VARIABLE: f"a network namespace ({' '.join(NAMESPACE)})"}
    (folder / "sitecustomize.py").write_text(f"from {__name__} import refuse\n\nrefuse()\n", encoding="utf-8")
    return [], {VARIABLE: "Python's own refusal of sockets (an audit hook)", "PYTHONPATH": str(folder)}


def _has_namespaces() -> bool:
    """Whether this user may make a network namespace here."""
    return bool(shutil.which(NAMESPACE[0])) and not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode


def refuse() -> None:
    """From now on no socket of this process reaches further than the file system; there is no way back."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in NAMES or (event in SENDS and arguments[0].family != socket.AF_UNIX):
            raise PermissionError(f"{event}: the network is cut for this command ({VARIABLE})")

    sys.addaudithook(hook)


def told() -> str:
    """How the network is cut, in words; or that it is not.

    Raises InputError where it should be cut and can be reached.
    """
    how = os.environ.get(VARIABLE, "")
    if _is_cut():
        return f"cut by {how}" if how else "out of reach"
    if how:
        raise InputError(VARIABLE, "says that the network is cut, but it can be reached", "Start without the variable")
    return "not cut"


def _is_cut() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOBODY)
        except OSError:
            return True
    return False
