"""The errors that a user is meant to read, each one line, and the exit code that each ends a command with."""

import errno
import signal

# What the system answers where it would give more to a process with other limits.
LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.EFBIG)
# What asks a command to stop: Ctrl-C, a scheduler, a closed terminal.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How much of each end of a place or problem is told that is longer than two of them.
LONGEST_END = 250
DONE, FAILED, BAD_INPUT, DEADLINE, LOCKED = range(5)


class InputError(Exception):
    """Something a user supplied cannot be used: a raw file, a parameter, a rule, a folder.

    The message is one line: what is wrong, where it is, and what to do; or a line that says so already.
    Of what is given back at great length only both ends are shown.
    """

    exit_code = BAD_INPUT

    def __init__(self, where: str, what: str = "", do: str = "") -> None:
        super().__init__(where, what, do)
        self.where, self.what, self.do = where, what, do

    def __str__(self) -> str:
        return f"{_short(self.where)}: {_short(self.what)}. {self.do}." if self.what else self.where


def _short(text: str) -> str:
    return text if len(text) <= 2 * LONGEST_END else f"{text[:LONGEST_END]}…{text[-LONGEST_END:]}"


class StepFailed(Exception):
    """A notebook did not reach its end; the message says which cell, what, and where to read on."""

    exit_code = FAILED


class DeadlinePassed(StepFailed):
    """A notebook or a run took longer than it may; it was ended with everything it had started."""

    exit_code = DEADLINE


class Stopped(StepFailed):
    """Someone stopped the run: Ctrl-C, a scheduler's SIGTERM, a closed terminal."""


class Locked(Exception):
    """Another run is at work in the same output folder."""

    exit_code = LOCKED


def of_system(problem: OSError) -> str:
    """What the operating system refused, in one line, and where to look."""
    place = f"{_short(str(problem.filename))}: " if problem.filename else ""
    look = "the limits that `ulimit -a` lists" if problem.errno in LIMITS else "that the disk is writable and has space"
    return f"{place}{problem.strerror or problem}. Check {look}."
