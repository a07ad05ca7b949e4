"""The faults: each a function that strikes a command on the bench (fault_bench.py) and hands it back.

What must hold after every one of them stands in promise.py. Those that are only for the soak (soak.py) are
near to one that `make test` tries too.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from anime_growth import locks, records
from anime_growth.parameters import Parameters
from anime_growth.pipeline import STEPS
from tests.end_to_end.fault_bench import CHAIN, Bench, Command, kill, snapshot
from tests.end_to_end.promise import Fault, Strike

FAULTS: list[Fault] = []


class Kind:
    """A kind of fault, a row in the table of outcomes, with the answers that most faults of the kind expect."""

    def __init__(self, name: str, codes: tuple[int, ...] = (1,), **expected: Any) -> None:
        self.name, self.expected = name, {"codes": codes, **expected}

    def __call__(self, name: str, **expected: Any) -> Callable[[Strike], Strike]:
        """Add a fault of this kind to the catalogue."""

        def add(strike: Strike) -> Strike:
            FAULTS.append(Fault(name, self.name, strike, **{**self.expected, **expected}))
            return strike

        return add


# --- stopped and killed -----------------------------------------------------------------------------
STOPPED = "stopped from outside"
STOP = Kind("stopped (SIGTERM, Ctrl-C, closed terminal)", kept="stopped", says=STOPPED, late=True)
KILL = Kind("the command killed", (-signal.SIGKILL,), late=True, killed=True)
PART = Kind("its worker or kernel killed", kept="failed", says="killed by SIG|its kernel|[Kk]ernel died", late=True)

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):

    @STOP(f"{number.name} at a random moment")
    def _(bench: Bench, number: int = number) -> Command:
        command = bench.start()
        command.at_random()
        command.send(number)
        return command


@STOP("SIGTERM twice in a row")
def _(bench: Bench) -> Command:
    command = bench.start()
    command.at_random()
    command.send(signal.SIGTERM)
    time.sleep(bench.rng.uniform(0, 0.1))
    command.send(signal.SIGTERM)
    return command


@STOP("SIGTERM again and again while it cleans up", late=False)
def _(bench: Bench) -> Command:
    with bench.cell("time.sleep(60)"):
        command = bench.start(function="unlink", event="SIGTERM")
        command.in_a_cell()
        command.send(signal.SIGTERM)
        command.wait()
    return command


@STOP("Ctrl-C in a terminal, which reaches the whole group")
def _(bench: Bench) -> Command:
    command = bench.start()
    command.at_random()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGINT)
    return command


@STOP("a closed terminal under nohup", codes=(0,), only_soak=True)
def _(bench: Bench) -> Command:
    command = bench.start(ignored=[signal.SIGHUP])
    command.until(lambda: command.ignores(signal.SIGHUP))
    command.at_random()
    command.send(signal.SIGHUP)
    return command


@STOP("a closed terminal under nohup, while it waits", codes=(4,), kept="", says="is at work here", late=False)
def _(bench: Bench) -> Command:
    with held(bench):
        command = bench.start("run", "--wait", "1", ignored=[signal.SIGHUP])
        command.until(lambda: command.ignores(signal.SIGHUP))
        time.sleep(bench.rng.uniform(0, 0.8))
        command.send(signal.SIGHUP)
        command.wait()
    return command


@STOP("SIGTERM while the command loads")
def _(bench: Bench) -> Command:
    command = bench.start(real=True)
    time.sleep(bench.rng.uniform(0.1, 2))
    command.send(signal.SIGTERM)
    return command


@STOP("SIGTERM while it waits for another run", kept="")
def _(bench: Bench) -> Command:
    with held(bench):
        command = bench.start("run", "--wait", "60")
        time.sleep(bench.rng.uniform(0.5, 1))
        command.send(signal.SIGTERM)
        command.wait()
    return command


for number in (signal.SIGKILL, signal.SIGQUIT):

    @KILL(f"{number.name} at a random moment", codes=(-number,), only_soak=number == signal.SIGQUIT)
    def _(bench: Bench, number: int = number) -> Command:
        command = bench.start()
        command.at_random()
        command.send(number)
        return command


@KILL("SIGKILL in a cell that takes long", late=False)
def _(bench: Bench) -> Command:
    with bench.cell("time.sleep(60)"):
        command = bench.start()
        command.in_a_cell()
        command.send(signal.SIGKILL)
        command.wait()
    return command


@KILL("SIGKILL of its whole group", only_soak=True)
def _(bench: Bench) -> Command:
    command = bench.start()
    command.at_random()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)
    return command


@KILL("SIGKILL of everything at once", leaves=True)
def _(bench: Bench) -> Command:
    command = bench.start()
    command.at_random()
    kill(*command.family())
    return command


@KILL("SIGKILL of all but a kernel that blocks in C", late=False, leaves=True)
def _(bench: Bench) -> Command:
    with bench.cell("import ctypes; ctypes.PyDLL(None).sleep(60)"):
        command = bench.start()
        command.in_a_cell()
        kill(*command.family()[:2])
        command.wait()
    return command


VICTIMS: dict[str, Callable[[Command], list[psutil.Process]]] = {
    "the kernel": Command.kernel,
    "the worker": Command.worker,
    "the worker and the kernel": lambda command: command.family()[1:],
}
for who, victims in VICTIMS.items():

    @PART(f"SIGKILL of {who} at a random moment")
    def _(bench: Bench, victims: Callable[[Command], list[psutil.Process]] = victims) -> Command:
        command = bench.start()
        command.at_random()
        kill(*command.until(lambda: victims(command)))
        return command

    @PART(f"SIGTERM of {who} in a cell", late=False, only_soak=True)
    def _(bench: Bench, victims: Callable[[Command], list[psutil.Process]] = victims) -> Command:
        with bench.cell("time.sleep(60)"):
            command = bench.start()
            command.in_a_cell()
            kill(*victims(command), number=signal.SIGTERM)
            command.wait()
        return command


# --- power cuts, and a disk that fails --------------------------------------------------------------
CUT = Kind("a power cut at a random write", (-signal.SIGKILL,), late=True, killed=True, leaves=True)
STOP_AT = Kind("stopped at a random write", kept="stopped", says=STOPPED, late=True)
REFUSALS = "No space left on device|Input/output error|Read-only file system|Disk quota exceeded"
DISK = Kind("the disk refuses a write", kept="failed", says=REFUSALS, late=True)
FULL = Kind("a disk that becomes full", kept="failed", says=REFUSALS, late=True, full=True)
# About how often a run calls each function inside the study; a call that does not come leaves the run whole.
CALLS = {"replace": 18, "rename": 1, "symlink": 1, "fsync": 80, "mkdir": 6, "unlink": 1, "open": 16}


def at_a_call(bench: Bench, event: str, function: str) -> Command:
    """A run to which something happens at a random call of a function."""
    call = bench.rng.randint(1, CALLS[function])
    bench.moment = f"{event} at call {call} of {function}"
    command = bench.run(function=function, call=call, event=event)
    if event == "power cut" and command.wait() != 0:
        bench.lose_unsynced(command)
    return command


def leave_a_killed_run(bench: Bench) -> None:
    """The next run finds one that was killed after its first notebook."""
    first = bench.start()
    first.until(lambda: next(bench.runs.glob(f"working-*/steps/{CHAIN[0]}.json"), None))
    kill(*first.family())
    first.wait()
    bench.owed |= {records.id_of(path) for path in bench.runs.glob("working-*")}
    bench.folders |= {path.name for path in bench.runs.glob("*")}


for function in CALLS:

    @CUT(f"a power cut at a random {function}", only_soak=function in ("mkdir", "unlink"))
    def _(bench: Bench, function: str = function) -> Command:
        return at_a_call(bench, "power cut", function)

    @STOP_AT(f"SIGTERM at a random {function}", only_soak=function not in ("rename", "symlink"))
    def _(bench: Bench, function: str = function) -> Command:
        return at_a_call(bench, "SIGTERM", function)


@CUT("a power cut while the next run cleans up")
def _(bench: Bench) -> Command:
    leave_a_killed_run(bench)
    return at_a_call(bench, "power cut", bench.rng.choice(["replace", "rename", "fsync"]))


@STOP_AT("SIGTERM while the next run cleans up", only_soak=True)
def _(bench: Bench) -> Command:
    leave_a_killed_run(bench)
    return at_a_call(bench, "SIGTERM", bench.rng.choice(["replace", "rename", "fsync"]))


ANSWERS = {"open": "ENOSPC", "replace": "EIO", "rename": "EDQUOT", "fsync": "EIO", "mkdir": "ENOSPC"}
for function, answer in ANSWERS.items():

    @DISK(f"{answer} from a random {function}", only_soak=function in ("fsync", "mkdir"))
    def _(bench: Bench, function: str = function, answer: str = answer) -> Command:
        return at_a_call(bench, answer, function)


def own_mounts() -> bool:
    """Whether this machine lets a process have mounts of its own."""
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "-rm", "true"], capture_output=True).returncode == 0


@DISK("a folder of runs that is read-only", kept="", late=False, needs=own_mounts)
def _(bench: Bench) -> Command:
    script = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"'
    return bench.run(real=True, within=["unshare", "-rm", "sh", "-euc", script, "sh", str(bench.runs)])


@FULL("a disk without room for more", needs=own_mounts)
def _(bench: Bench) -> Command:
    pages = sum(-(-path.lstat().st_size // 4096) for path in bench.runs.rglob("*") if path.is_file())
    return on_a_small_disk(bench, f"size={(pages + bench.rng.randint(0, 60)) * 4096}")


@FULL("a disk without room for more names", needs=own_mounts, only_soak=True)
def _(bench: Bench) -> Command:
    names = sum(1 for _ in bench.runs.rglob("*"))
    return on_a_small_disk(bench, f"nr_inodes={names + bench.rng.randint(2, 60)}")


def on_a_small_disk(bench: Bench, options: str) -> Command:
    """A run whose folder of runs lies on a disk of its own."""
    saved, kept = bench.folder / "saved", bench.folder / "kept"
    bench.moment = options
    kept.mkdir()
    bench.runs.rename(saved)
    bench.runs.mkdir()
    runs, copied = shlex.quote(str(bench.runs)), shlex.quote(str(kept))
    script = (
        f"mount -t tmpfs -o mode=755,{options} tmpfs {runs}; cp -a {shlex.quote(str(saved))}/. {runs}; "
        f'code=0; "$@" || code=$?; cp -a {runs}/. {copied}; exit $code'
    )
    command = bench.run(real=True, within=["unshare", "-rm", "sh", "-euc", script, "sh"])
    bench.runs.rmdir()
    kept.rename(bench.runs)
    shutil.rmtree(saved)
    return command


LIMIT = Kind("small limits of the system", kept="failed", late=True)


@LIMIT("a limit on the size of files", says="File too large|did not leave", full=True)
def _(bench: Bench) -> Command:
    return bench.run(limits={"RLIMIT_FSIZE": bench.rng.randint(500, 20_000)})


@LIMIT("a limit on open files", codes=(2,), kept="", says="limit on open files: it is", late=False)
def _(bench: Bench) -> Command:
    return bench.run(limits={"RLIMIT_NOFILE": bench.rng.randint(8, 255)})


@LIMIT("a limit on memory", says="[Mm]emory|[Kk]ernel")
def _(bench: Bench) -> Command:
    with bench.cell("full = b'x' * 2**34"):
        return bench.run(limits={"RLIMIT_AS": bench.rng.randint(100, 2000) * 2**20})


# --- cells ------------------------------------------------------------------------------------------
def in_a_cell(kind: Kind, name: str, source: str, *arguments: str, step: str = "", **expected: Any) -> None:
    """A fault that a cell commits."""

    @kind(name, **expected)
    def _(bench: Bench) -> Command:
        with bench.cell(source, step):
            return bench.run("run", *arguments)


DIES = Kind("a cell that ends its process", kept="failed", says="cell 3: its (kernel|process) was killed")
in_a_cell(DIES, "os._exit(0)", "os._exit(0)")
in_a_cell(DIES, "os._exit(3) after half a file", "(folder / 'a.csv').write_text('h'); os._exit(3)", only_soak=True)
in_a_cell(DIES, "a segmentation fault", "import ctypes; ctypes.string_at(0)")
in_a_cell(DIES, "kill -9 of itself", "import signal; os.kill(os.getpid(), signal.SIGKILL)", only_soak=True)
in_a_cell(DIES, "kill -9 of its parent", "import signal; os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)")

FAILS = Kind("a cell that fails or leaves early", kept="failed")
in_a_cell(FAILS, "sys.exit(0)", "import sys; sys.exit(0)", says="cell 3: stopped without an error")
in_a_cell(FAILS, "sys.exit(3)", "import sys; sys.exit(3)", says="cell 3: SystemExit: 3", only_soak=True)
in_a_cell(FAILS, "quit(), which a kernel does not heed", "quit()", codes=(0,), only_soak=True)
in_a_cell(FAILS, "an exception", "1 / 0", says="cell 3: ZeroDivisionError: division by zero", only_soak=True)
in_a_cell(FAILS, "KeyboardInterrupt", "raise KeyboardInterrupt", says="cell 3: KeyboardInterrupt")
in_a_cell(FAILS, "MemoryError", "raise MemoryError", says="cell 3: MemoryError", only_soak=True)
in_a_cell(FAILS, "a broken pipe", "raise BrokenPipeError(32, 'Broken pipe')", says="cell 3: BrokenPipeError")
in_a_cell(FAILS, "many lines and colours", r"raise ValueError('\x1b[31mred\n\r\x00' * 3)", says="red", only_soak=True)
in_a_cell(FAILS, "a million letters", "raise ValueError('long ' * 200_000)", says="cell 3: ValueError: .{900,1300}$")
in_a_cell(FAILS, "a message that is no text", r"raise ValueError('\ud800')", says="cell 3", only_soak=True)
REFUSES = "from anime_growth.errors import InputError\nraise InputError('data/raw/x.csv, row 7', 'is odd', 'Look')"
in_a_cell(FAILS, "a refused input", REFUSES, codes=(2,), kept="refused", says=r"data/raw/x.csv, row 7: is odd. Look\.")

HANGS = Kind("a cell that hangs", (3,), kept="deadline")
NOTEBOOK, RUN = ("--notebook-deadline", "1.5"), ("--deadline", "1.5")
BLOCKS = "import ctypes; ctypes.PyDLL(None).sleep(600)"
DEAF = "import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(600)"
RESTARTS = "import subprocess\nsubprocess.run(['sh', '-c', f'while :; do sleep 0.01; : {folder}; done'])"
in_a_cell(HANGS, "sleep", "time.sleep(600)", *NOTEBOOK, says=r"a notebook may take 1.5 s \(--notebook-deadline")
in_a_cell(
    HANGS, "a busy loop", "while True: pass", *RUN, says=r"the whole run may take 1.5 s \(--deadline", only_soak=True
)
in_a_cell(HANGS, "a call in C that lets nothing else run", BLOCKS, *NOTEBOOK, step=CHAIN[0])
in_a_cell(HANGS, "deaf to signals", DEAF, *NOTEBOOK, step=CHAIN[0], only_soak=True)
in_a_cell(HANGS, "a process that starts others again and again", RESTARTS, *RUN)
for who in ("the kernel", "the worker"):

    @HANGS(f"SIGSTOP of {who}", only_soak=who == "the kernel")
    def _(bench: Bench, who: str = who) -> Command:
        with bench.cell("time.sleep(600)"):
            command = bench.start("run", *RUN)
            command.in_a_cell()  # before, its child may be git
            kill(*VICTIMS[who](command), number=signal.SIGSTOP)
            command.wait()
        return command


STARTS = Kind("a cell that starts processes of its own")
SLEEPER = "import subprocess\nsubprocess.Popen(['sh', '-c', f'sleep 600; : {folder}'], start_new_session=True)\n"
DAEMON = """\
if not os.fork():
    os.setsid()
    os.chdir("/")
    os.execve("/bin/sh", ["sh", "-c", f"sleep 600 & sleep 600; : {folder}"], {"PATH": "/usr/bin:/bin"})
"""
in_a_cell(STARTS, "in the background, and ends", SLEEPER, codes=(0,), only_soak=True)
in_a_cell(STARTS, "in the background, and fails", f"{SLEEPER}1 / 0", kept="failed", says="ZeroDivisionError")
in_a_cell(STARTS, "a daemon that forgets where it comes from, and ends", DAEMON, codes=(0,))
in_a_cell(STARTS, "a daemon, and hangs", f"{DAEMON}time.sleep(600)", *RUN, codes=(3,), kept="deadline", only_soak=True)


@STARTS("a daemon, and the command is stopped", kept="stopped", says=STOPPED)
def _(bench: Bench) -> Command:
    with bench.cell(f"{DAEMON}time.sleep(600)"):
        command = bench.start()
        command.in_a_cell()
        time.sleep(0.2)
        command.send(signal.SIGTERM)
        command.wait()
    return command


SPOILS = Kind("a cell that spoils what was made", kept="failed", says="did not leave tables/")
ONE = "next(folder.glob('tables/*.csv'))"
in_a_cell(SPOILS, "removes a promised file", f"{ONE}.unlink()", step=CHAIN[0])
in_a_cell(SPOILS, "empties a promised file", f"{ONE}.write_text('')", step=CHAIN[0], only_soak=True)
in_a_cell(SPOILS, "removes a file of an earlier step", f"{ONE}.unlink()", step=CHAIN[1])
UNMARK = f"(folder / 'steps' / '{CHAIN[0]}.json').unlink()"
in_a_cell(SPOILS, "removes an earlier sentinel", UNMARK, step=CHAIN[1], says="stopped without an error", only_soak=True)
in_a_cell(SPOILS, "removes the folder of the run", "import shutil; shutil.rmtree(folder)", kept="", says="No such file")
in_a_cell(SPOILS, "prints 10 MB", "for _ in range(100): print('x' * 100_000)", codes=(0,))
in_a_cell(
    SPOILS, "prints 10 MB past Python", "for _ in range(9): os.write(1, b'x' * 10**6)", codes=(0,), only_soak=True
)
in_a_cell(SPOILS, "closes its output", "os.close(1); os.close(2)", codes=(0,), only_soak=True)
in_a_cell(SPOILS, "leaves for another folder", "os.chdir('/')", codes=(0,), only_soak=True)
in_a_cell(SPOILS, "leaves a link to itself", "(folder / 'loop').symlink_to(folder)", codes=(0,), only_soak=True)


# --- notebooks --------------------------------------------------------------------------------------
UNFIT = Kind("a notebook that is unfit", (2,))


def unfit(name: str, spoil: Callable[[Path], object], **expected: Any) -> None:
    """A notebook with which no run should begin."""

    @UNFIT(name, **expected)
    def _(bench: Bench) -> Command:
        with bench.notebook(bench.rng.choice(CHAIN)) as path:
            spoil(path)
            return bench.run()


def retag(path: Path, tagged: int) -> None:
    """Let so many of the first cells be tagged `parameters`."""
    notebook = json.loads(path.read_text())
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = {"tags": ["parameters"]} if number < tagged else {}
    path.write_text(json.dumps(notebook))


def of_format_99(path: Path) -> None:
    """Say that the notebook is of a format that nobody knows."""
    path.write_text(path.read_text().replace('"nbformat": 4', '"nbformat": 99'))


unfit("cut short", lambda path: os.truncate(path, 300), says=r"notebooks/\d\d_\w+\.ipynb: is no notebook. Restore it")
unfit("empty", lambda path: os.truncate(path, 0), says="is no notebook")
unfit("not text", lambda path: path.write_bytes(b"\xff\xfe\x00"), says="is no notebook")
unfit("missing", Path.unlink, says="is missing. Restore it with `git checkout`")
unfit("no parameters cell", lambda path: retag(path, 0), says="has 0 cells tagged parameters. Tag exactly one")
unfit("two parameters cells", lambda path: retag(path, 2), says="has 2 cells tagged parameters")
unfit("of an unknown format", of_format_99, says="is of notebook format 99. Save it in format 4")


# --- two at once, and locks -------------------------------------------------------------------------
AT_WORK = r"process \d+ is at work here\. Wait until it has ended, or start with --wait SECONDS"
TWO = Kind("two commands at once", (4,), says=AT_WORK)
STALE = Kind("a lock left behind", (0,))


@contextlib.contextmanager
def held(bench: Bench) -> Iterator[None]:
    """Another process, this one, holds the lock."""
    with bench.as_home(), locks.held(bench.runs):
        yield


@TWO("a second run at the same time")
def _(bench: Bench) -> Command:
    first = bench.start()
    first.until(lambda: bench.newly("working-*"))
    first.send(signal.SIGSTOP)  # however slow the second is to begin, the first is still at work
    second = bench.run()
    first.send(signal.SIGCONT)
    assert first.wait() == 0, first.err.read_text()
    return second


@TWO("a second run that waits for the first", codes=(0,), only_soak=True)
def _(bench: Bench) -> Command:
    first = bench.start()
    first.until(lambda: bench.newly("working-*"))
    second = bench.start("run", "--wait", "60")
    assert first.wait() == 0, first.err.read_text()
    return second


@TWO("a second run that waits too short")
def _(bench: Bench) -> Command:
    with held(bench):
        return bench.run("run", "--wait", "0.5")


def stale(name: str, change: Callable[[list[str]], str], **expected: Any) -> None:
    """A lock left behind by a killed run, which has since changed."""

    @STALE(name, **expected)
    def _(bench: Bench) -> Command:
        leave_a_killed_run(bench)
        lock = bench.runs / locks.NAME
        lock.write_text(change(lock.read_text().splitlines()))
        command = bench.run()
        if command.wait() == 4:
            lock.unlink()
        return command


ELSEWHERE = r"if it runs on another machine that is gone, remove data/processed/runs/\.lock"
stale("of a process that is gone", lambda told: "\n".join((*told, "")), only_soak=True)
stale("whose pid another process has now", lambda told: "\n".join((str(os.getpid()), *told[1:], "")))
stale("that a power cut has emptied", lambda told: "")
stale("that says nothing", lambda told: "\0 no lock", only_soak=True)
stale("of another machine", lambda told: "\n".join((told[0], "elsewhere", "")), codes=(4,), says=ELSEWHERE)


# --- the folder of runs -----------------------------------------------------------------------------
SPOILT = Kind("a spoilt folder of runs", (0,))


@contextlib.contextmanager
def no_latest(bench: Bench) -> Iterator[Path]:
    """The link `latest` is away; it is put back if nothing has come in its place."""
    link = bench.runs / "latest"
    target = os.readlink(link)
    link.unlink()
    yield link
    if not link.is_symlink():
        link.symlink_to(target)


@SPOILT("latest is a folder", codes=(2,), says="data/processed/runs/latest: is no link.*Move it away")
def _(bench: Bench) -> Command:
    with no_latest(bench) as link:
        link.mkdir()
        command = bench.run()
        link.rmdir()
    return command


@SPOILT("latest is a file", codes=(2,), says="data/processed/runs/latest: is no link.*Move it away", only_soak=True)
def _(bench: Bench) -> Command:
    with no_latest(bench) as link:
        link.write_text("mine")
        command = bench.run()
        assert link.read_text() == "mine"
        link.unlink()
    return command


@SPOILT("latest points nowhere", only_soak=True)
def _(bench: Bench) -> Command:
    with no_latest(bench) as link:
        link.symlink_to("20010101T000000Z")
        return bench.run()


@SPOILT("latest is missing")
def _(bench: Bench) -> Command:
    with no_latest(bench):
        return bench.run()


@SPOILT("an earlier run's record is damaged", only_soak=True)
def _(bench: Bench) -> Command:
    path = (bench.runs / "latest").resolve() / "run.json"
    whole = path.read_bytes()
    path.write_bytes(damaged := whole[: bench.rng.randrange(len(whole))])
    command = bench.run()
    assert path.read_bytes() == damaged
    path.write_bytes(whole)
    return command


@SPOILT("a killed run's record is damaged")
def _(bench: Bench) -> Command:
    leave_a_killed_run(bench)
    for path in bench.runs.glob("working-*/run.json"):
        path.write_bytes(bench.rng.randbytes(bench.rng.randrange(200)))
    return bench.run()


@SPOILT("the folder of runs is a file", codes=(2,), says="data/processed/runs: is no folder. Move it away")
def _(bench: Bench) -> Command:
    aside = bench.folder / "aside"
    bench.runs.rename(aside)
    bench.runs.write_text("")
    command = bench.run()
    bench.runs.unlink()
    aside.rename(bench.runs)
    return command


# --- an odd environment -----------------------------------------------------------------------------
ODD = Kind("an odd environment", (0,))
PLAIN_SERVICE = {"HOME": None, "TMPDIR": "/nowhere", "LC_ALL": "C"}


def odd(name: str, *arguments: str, setting: dict[str, Any], **expected: Any) -> None:
    """A command on an odd machine."""

    @ODD(name, **expected)
    def _(bench: Bench) -> Command:
        return bench.run("run", *arguments, **setting)


odd(
    "a service without HOME and TMPDIR, its input closed, in the C locale, with a strict umask",
    setting={"real": True, "closed": [0], "umask": 0o077, "environ": PLAIN_SERVICE},
)
odd("HOME cannot be written", setting={"environ": {"HOME": "/dev/null/home"}}, only_soak=True)
odd("all streams closed", setting={"closed": [0, 1, 2]})
odd("only output closed", setting={"closed": [1]}, only_soak=True)
odd("nobody reads the output", setting={"broken": [1]}, only_soak=True)
odd("nobody reads the errors", setting={"broken": [2]})
WRONG = ("-p", "editon=2024")
odd("a bad parameter, and nobody reads why", *WRONG, setting={"broken": [1, 2]}, codes=(2,), silent=True)
odd("a bad parameter, and no streams", *WRONG, setting={"closed": [0, 1, 2]}, codes=(2,), silent=True)
odd("started in a folder that is gone", setting={"gone": True}, only_soak=True)


@ODD("a clock that is set back")
def _(bench: Bench) -> Command:
    latest = datetime.strptime(os.readlink(bench.runs / "latest")[:16], "%Y%m%dT%H%M%SZ")
    return bench.run(clock=f"{latest.isoformat()}+00:00")


@ODD("a person's own start-up files")
def _(bench: Bench) -> Command:
    home, seen = bench.folder / "home", bench.folder / "seen"
    startup = home / ".ipython/profile_default/startup/00-mine.py"
    startup.parent.mkdir(parents=True, exist_ok=True)
    startup.write_text(f"open({str(seen)!r}, 'w')")
    command = bench.run(environ={"HOME": str(home), "IPYTHONDIR": None, "PYTHONSTARTUP": str(startup)})
    assert not seen.exists(), "a person's own start-up file took part in the run"
    return command


# --- publishing and pruning -------------------------------------------------------------------------
PUBLISH = Kind("publishing broken off", late=True)
PRUNE = Kind("pruning broken off", late=True)
State = dict[str, tuple[int, str]]


def published(bench: Bench) -> State:
    """Everything that publishing replaces."""
    others = ("data/raw", "data/processed/runs")
    return {name: content for name, content in snapshot(bench.study).items() if not name.startswith(others)}


@contextlib.contextmanager
def publishable(bench: Bench) -> Iterator[tuple[str, State, State]]:
    """A verified run made by hand, and the study before and after it is published; put back at the end."""
    run, aside = bench.runs / "20200101T000000Z", bench.folder / "old"
    old = published(bench)
    shutil.copytree(bench.study, aside, ignore=shutil.ignore_patterns("runs", "raw"))
    make_verified(bench, run)
    try:
        if not bench.published_new:
            done = bench.run("publish", run.name, whole_chain=True)
            assert done.wait() == 0, done.err.read_text()
            bench.published_new = published(bench)
            put_back(aside, bench.study)
        yield run.name, old, bench.published_new
    finally:
        put_back(aside, bench.study)
        shutil.rmtree(aside)
        shutil.rmtree(run)


def put_back(aside: Path, study: Path) -> None:
    """What publishing replaces is as it was."""
    for name in ("data/processed/published", "notebooks"):
        shutil.rmtree(study / name, ignore_errors=True)
    shutil.copytree(aside, study, dirs_exist_ok=True)


def make_verified(bench: Bench, run: Path) -> None:
    """A run as `anime-growth verify` leaves it, without having run anything."""
    shutil.copytree(bench.study / "data/processed/published", run)
    shutil.copytree(bench.study / "notebooks", run / "notebooks")
    for promised in (name for spec in STEPS.values() for name in spec.promises if not (run / name).exists()):
        (run / promised).parent.mkdir(exist_ok=True)
        (run / promised).write_text(f"new {promised}\n")
    (run / "certificate.json").write_text('{"exit_code": 0}')
    (run / "certificate.md").write_text("the same\n")
    with bench.as_home():
        record = records.begin(run.name, datetime(2020, 1, 1, tzinfo=UTC), Parameters(), 2025)
        record |= {"exit_class": "done", "ended": record["started"], "steps": {name: {} for name in CHAIN}}
        records.write(record | {"artefacts": records.artefacts(run)}, run)


IN_PUBLISHING = {"replace": 9, "rename": 2, "fsync": 160, "mkdir": 8, "open": 40}


def publishing(function: str, event: str, **expected: Any) -> None:
    """Something happens while publishing; after the next command all of it is the old, or all of it the new."""

    @PUBLISH(f"{event} while publishing, at a random {function}", **expected)
    def _(bench: Bench) -> Command:
        with publishable(bench) as (run, old, new):
            call = bench.rng.randint(1, IN_PUBLISHING[function])
            bench.moment = f"{event} at call {call} of {function}"
            command = bench.run("publish", run, whole_chain=True, function=function, call=call, event=event)
            if event == "power cut" and command.wait() != 0:
                bench.lose_unsynced(command)
            next_one = bench.run("run", "--deadline", "0.1")
            assert next_one.wait() == 3, next_one.err.read_text()
            shutil.rmtree(max(bench.runs.glob("failed-*")))
            found = published(bench)
            assert found in (old, new), "neither what was published nor what was to be"
            assert command.wait() != 0 or found == new
        return command


for function in IN_PUBLISHING:
    rare = function in ("mkdir", "open")
    publishing(function, "power cut", codes=(-signal.SIGKILL,), killed=True, only_soak=rare)
publishing("replace", "SIGTERM", says=STOPPED)
publishing("rename", "SIGTERM", says=STOPPED, only_soak=True)
publishing("open", "ENOSPC", says=REFUSALS)
publishing("replace", "EIO", says=REFUSALS, only_soak=True)


def pruning(function: str, event: str, **expected: Any) -> None:
    """Something happens while old runs are removed; each is whole or gone."""

    @PRUNE(f"{event} while pruning, at a random {function}", **expected)
    def _(bench: Bench) -> Command:
        old = sorted(path.name for path in bench.runs.glob("2*"))
        for second in range(3):
            shutil.copytree(bench.runs / old[-1], bench.runs / f"20000101T00000{second}Z", symlinks=True)
        call = bench.rng.randint(1, 3)
        bench.moment = f"{event} at call {call} of {function}"
        return bench.run("runs", "--keep", str(len(old)), function=function, call=call, event=event)


pruning("rename", "power cut", codes=(-signal.SIGKILL,), killed=True)
pruning("rmdir", "power cut", codes=(-signal.SIGKILL,), killed=True, only_soak=True)
pruning("rename", "SIGTERM", says=STOPPED)
