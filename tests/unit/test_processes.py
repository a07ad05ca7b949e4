"""Work in a process of its own ends for certain, with everything that it has started."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from functools import partial

import psutil
import pytest

from anime_growth import errors, paths, processes
from anime_growth.errors import InputError

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")


@pytest.fixture
def apart(tmp_path):
    """Call a function in a process of its own, for the run in a temporary folder."""
    return lambda work, seconds=20, **rest: call(work, tmp_path, seconds, **rest)


def call(work, folder, seconds, **rest):
    with processes.Apart(work, folder, folder / "log") as apart:
        apart.result(seconds, **rest)


def sleeper(folder):
    """A process that says in its command line for whom it was started."""
    return [sys.executable, "-c", "import time; time.sleep(60)", str(folder)]


def left(folder):
    """Processes started for `folder`, given a moment to be gone."""
    limit = time.monotonic() + 3
    while found := [one for one in psutil.process_iter() if str(folder) in _words(one)]:
        if time.monotonic() > limit:
            return found
        time.sleep(0.02)
    return []


def _words(process):
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


# --- memory -----------------------------------------------------------------------------------------
def test_what_is_kept_is_not_looked_through_and_other_things_are_again():
    before = gc.get_freeze_count()
    with processes.kept():
        with processes.kept():
            assert not gc.isenabled()
        assert not gc.isenabled()
        stays = [[]]
    assert gc.isenabled() and gc.get_freeze_count() > before
    later = [[]]
    looked_through = [id(one) for one in gc.get_objects()]
    assert id(stays) not in looked_through and id(later) in looked_through


BLOCKS = """
import sys, psutil
from anime_growth import processes
if sys.argv[1] == "given back":
    processes.give_back_blocks()
first = bytearray(16 << 20)
del first  # which tells glibc that blocks of this size are wanted often
large, small = bytearray(8 << 20), [bytearray(1000) for _ in range(1000)]
before = psutil.Process().memory_info().rss
del large  # below the small ones, if it is kept
print((before - psutil.Process().memory_info().rss) >> 20)
"""


@linux
@pytest.mark.parametrize(("way", "megabytes"), [("given back", 8), ("left alone", 0)])
def test_large_blocks_go_back_to_the_system_while_small_ones_stay(way, megabytes):
    done = subprocess.run([sys.executable, "-c", BLOCKS, way], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(megabytes)], done.stderr


# --- answers ----------------------------------------------------------------------------------------
def test_it_returns_when_the_work_is_done(apart, tmp_path):
    apart((tmp_path / "done").touch)
    assert (tmp_path / "done").exists()


def refuse():
    raise InputError("data/raw/x.csv, row 7", "is odd", "Look at it")


def test_it_raises_what_the_work_raised(apart):
    with pytest.raises(InputError, match=r"data/raw/x.csv, row 7: is odd. Look at it\.") as refused:
        apart(refuse)
    assert (refused.value.where, refused.value.exit_code) == ("data/raw/x.csv, row 7", 2)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (partial(os._exit, 0), "its process ended early with exit code 0"),
        (partial(os._exit, 3), "its process ended early with exit code 3"),
        (sys.exit, "its process ended early with exit code 0"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "its process was killed by SIGTERM"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL .the machine may be out of memory"),
    ],
)
def test_a_process_that_ends_without_a_word_is_never_taken_for_success(apart, work, said):
    with pytest.raises(processes.Died, match=said):
        apart(work)


class Unsendable(Exception):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def raise_unsendable():
    raise Unsendable


def test_an_error_that_cannot_be_sent_is_an_error_too(apart, tmp_path):
    with pytest.raises(processes.Died, match="exit code 1"):
        apart(raise_unsendable)
    assert "Unsendable" in (tmp_path / "log").read_text()


def test_what_the_work_prints_goes_to_the_log(apart, tmp_path, capfd):
    apart(lambda: (print("one", flush=True), os.write(2, b"two\n"), subprocess.run(["echo", "three"], check=True)))
    assert (tmp_path / "log").read_text().split() == ["one", "two", "three"]
    assert capfd.readouterr() == ("", "")


def test_who_waits_is_ticked(apart):
    ticks = []
    apart(lambda: time.sleep(0.5), tick=lambda: ticks.append(1))
    assert len(ticks) >= 1


# --- ends -------------------------------------------------------------------------------------------
def deaf(folder):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    subprocess.run(sleeper(folder))


def test_a_deadline_ends_even_what_is_deaf_to_signals(apart, tmp_path):
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        apart(partial(deaf, tmp_path), seconds=0.5)
    assert time.monotonic() - begun < 10
    assert not left(tmp_path)


def in_the_background(folder, environ):
    subprocess.Popen(sleeper(folder), env=environ, start_new_session=True)


def as_a_daemon(folder, environ):
    warnings.simplefilter("ignore")  # that fork is unwise where there are threads
    if not os.fork():
        in_the_background(folder, environ)
        os._exit(0)
    os.wait()


@pytest.mark.parametrize("starting", [in_the_background, as_a_daemon])
def test_what_carries_the_run_in_its_environment_is_ended(apart, tmp_path, starting):
    apart(partial(starting, tmp_path, {**os.environ, paths.RUN_VARIABLE: str(tmp_path)}))
    assert not left(tmp_path)


@linux
@pytest.mark.parametrize("starting", [in_the_background, as_a_daemon])
def test_what_forgets_where_it_comes_from_is_ended(apart, tmp_path, starting):
    apart(partial(starting, tmp_path, {}))
    assert not left(tmp_path)


def test_processes_of_other_runs_are_left_alone(tmp_path):
    environ = {**os.environ, paths.RUN_VARIABLE: str(tmp_path / "other")}
    with subprocess.Popen(sleeper(tmp_path), env=environ) as other:
        processes.end(tmp_path)
        assert other.poll() is None
        processes.end(tmp_path / "other")
        assert other.wait(5) == -signal.SIGKILL


def test_when_the_one_that_waits_is_killed_the_work_ends_too(tmp_path):
    work = partial(subprocess.run, sleeper(tmp_path))
    waiting = multiprocessing.get_context("forkserver").Process(target=call, args=(work, tmp_path, 60))
    waiting.start()
    limit = time.monotonic() + 10
    while not [one for one in psutil.process_iter() if str(tmp_path) in _words(one)]:
        assert time.monotonic() < limit
        time.sleep(0.02)
    workers = psutil.Process(waiting.pid).children(recursive=True)
    waiting.kill()
    waiting.join()
    assert not left(tmp_path)
    psutil.wait_procs(workers, timeout=3)
    assert not [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


# --- stops ------------------------------------------------------------------------------------------
@pytest.fixture
def heard():
    """Stops are heard by raising KeyboardInterrupt, as the command line has it."""

    def stop(number, frame):
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in errors.STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", errors.STOPS)
def test_a_stop_waits_until_what_is_undisturbed_has_been_done(heard, number):
    done = []
    with pytest.raises(KeyboardInterrupt), processes.undisturbed():
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        done.append(1)
    assert done


def test_after_an_error_it_is_the_error_that_is_told(heard):
    with pytest.raises(ZeroDivisionError), processes.undisturbed():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        _ = 1 / 0


def test_what_this_process_is_deaf_to_it_stays_deaf_to(heard):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with processes.undisturbed():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_in_another_thread_there_is_nothing_to_hold_back():
    def work():
        with processes.undisturbed():
            done.append(1)

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


def test_a_stop_while_one_waits_ends_the_work(heard, apart, tmp_path):
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        apart(partial(subprocess.run, sleeper(tmp_path)))
    timer.join()
    assert not left(tmp_path)
