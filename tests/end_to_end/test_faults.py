"""A run is a transaction: more than forty kinds of mishap at random moments, and what must hold after each.

The moments come from a seed, which a failure names. ANIME_GROWTH_FAULT_SEED sets it to repeat one:
`ANIME_GROWTH_FAULT_SEED=1a2b pytest -n 0 tests/end_to_end/test_faults.py -k "SIGTERM at"`.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from anime_growth import paths
from tests.end_to_end import promise, soak
from tests.end_to_end.fault_bench import Bench
from tests.end_to_end.faults import FAULTS
from tests.end_to_end.promise import Fault, Outcome, attempt

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bench knows processes and disks of Linux")
# The same for all workers of one test session.
SEED = os.environ.get("ANIME_GROWTH_FAULT_SEED") or os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{time.time_ns():x}")[:8]
TRIED = [one for one in FAULTS if not one.only_soak]
# In each group fault follows fault in one study, so that the next run after a fault is the next fault.
GROUPS = (0, 1)


def grouped(group: int, *values: object, name: str) -> object:
    return pytest.param(group, *values, id=name, marks=pytest.mark.xdist_group(f"faults-{group}"))


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    made: dict[int, Bench] = {}

    def bench(group: int, name: str) -> Bench:
        if group not in made:
            made[group] = Bench(tmp_path_factory.mktemp(f"faults{group}"), random.Random())
        made[group].rng = random.Random(f"{SEED}/{name}")
        return made[group]

    return bench


@pytest.mark.parametrize(
    ("group", "fault"),
    [grouped(number % len(GROUPS), fault, name=f"{fault.kind}: {fault.name}") for number, fault in enumerate(TRIED)],
)
def test_after_a_fault(benches, group, fault):
    if not fault.needs():
        pytest.skip("this machine lets no process have mounts of its own")
    bench = benches(group, fault.name)
    try:
        attempt(bench, fault)
    except AssertionError as problem:
        problem.add_note(f"{bench.moment}; to repeat it: ANIME_GROWTH_FAULT_SEED={SEED}")
        raise


@pytest.mark.parametrize("group", [grouped(group, name=f"group {group}") for group in GROUPS])
def test_after_all_faults_a_run_succeeds_and_nothing_is_left_of_them(benches, group):
    bench = benches(group, "last")
    attempt(bench, Fault("nothing", "none", Bench.start, (0,)))
    assert not bench.owed
    assert not [path.name for path in bench.runs.iterdir() if not path.name.startswith("2") and path.name != "latest"]


def test_there_are_more_than_forty_of_them_and_no_two_are_the_same():
    assert len(TRIED) > 40
    assert len({(one.kind, one.name) for one in FAULTS}) == len(FAULTS)


# --- what must hold can fail --------------------------------------------------------------------------
def spoil(how):
    """A command that does nothing bad, beside which something bad happens."""

    def strike(bench: Bench):
        how(bench)
        return bench.run("runs")

    return Fault("spoilt", "none", strike, (0,))


def half_a_run(bench):
    shutil.copytree((bench.runs / "latest").resolve(), bench.runs / "20200101T000000Z")
    next(bench.runs.glob("20200101T000000Z/tables/*.csv")).unlink()


def latest_to_nothing(bench):
    (bench.runs / "latest").unlink()
    (bench.runs / "latest").symlink_to("20200101T000000Z")


def change_published(bench):
    path = bench.study / "data/processed/published/verdicts.csv"
    path.write_text(path.read_text() + " ")


STRAY: list[subprocess.Popen] = []
BAD = {
    "changed or gone: .'data/processed/published/verdicts.csv": change_published,
    "changed or gone: .'data/raw/aja": lambda bench: next(bench.study.glob("data/raw/aja/*/*.csv")).unlink(),
    "added: .'notebooks/new.ipynb": lambda bench: (bench.study / "notebooks/new.ipynb").touch(),
    "is not as recorded": half_a_run,
    "latest points to no whole run": latest_to_nothing,
    "working-20200101T000000Z'. is left": lambda bench: (bench.runs / "working-20200101T000000Z").mkdir(),
    "left in the folder of runs: .'.lock": lambda bench: (bench.runs / ".lock").touch(),
    "left: .*sleep": lambda bench: STRAY.append(subprocess.Popen(["sleep", "60"], cwd=bench.study)),
}


def mend(bench):
    """The study as it was remembered."""
    while STRAY:
        with STRAY.pop() as stray:
            stray.kill()
    for name in ("data/raw", "data/processed/published"):
        shutil.rmtree(bench.study / name)
        shutil.copytree(paths.home() / name, bench.study / name)
    (bench.study / "notebooks/new.ipynb").unlink(missing_ok=True)
    for path in (*bench.runs.glob("*20200101T*"), *bench.runs.glob(".lock"), bench.runs / "latest"):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (bench.runs / "latest").symlink_to(max(path.name for path in bench.runs.glob("2*")))


@pytest.mark.parametrize(("group", "said"), [grouped(0, said, name=said) for said in BAD])
def test_what_must_hold_is_noticed_when_it_does_not(benches, group, said):
    bench = benches(group, said)
    try:
        with pytest.raises(AssertionError, match=said):
            attempt(bench, spoil(BAD[said]))
    finally:
        mend(bench)


def answering(source):
    """A command that ends as `source` says, instead of anime-growth."""

    def strike(bench: Bench):
        command = bench.run("runs")
        command.err.write_text(source)
        return command

    return strike


@pytest.mark.parametrize(
    ("group", "said", "code", "expected"),
    [
        grouped(0, "anime-growth: all is well.", 1, "exit code 0", name="another code"),
        grouped(0, "Traceback (most recent call last):", 0, "Traceback", name="a traceback"),
    ],
)
def test_an_answer_that_is_not_right_is_noticed(benches, group, said, code, expected):
    bench = benches(group, said)
    with pytest.raises(AssertionError, match=expected):
        attempt(bench, Fault("answer", "none", answering(said), (code,)))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("it went wrong", "not plain"),
        ("anime-growth: bad luck.", "'where' is not said"),
        ("anime-growth: where.\nanime-growth: where.", "where"),
        ("anime-growth: where. Read data/processed/runs/failed-20200101T000000Z.", "is named and not there"),
        ("anime-growth: where.", "nothing is kept"),
    ],
)
def test_a_last_line_that_does_not_help_is_noticed(tmp_path, told, expected):
    command = SimpleNamespace(err=tmp_path / "err", arguments=("run",))
    command.err.write_text(told)
    fault = Fault("answer", "none", Bench.start, (1,), says="where", kept="failed")
    bench = SimpleNamespace(study=tmp_path, runs=tmp_path)
    with pytest.raises(AssertionError, match=expected):
        promise.answer_is_right(bench, fault, command, 1, set(), set())


# --- the soak ------------------------------------------------------------------------------------------
def test_the_soak_tries_every_fault_and_repeats_itself_by_its_seed():
    once = soak.drawn(200, "1a2b")
    assert [one.name for one in once] == [one.name for one in soak.drawn(200, "1a2b")]
    assert [one.name for one in once] != [one.name for one in soak.drawn(200, "1a2c")]
    assert {one.name for one in once} == {one.name for one in FAULTS if one.needs()} and len(once) == 200


def test_the_table_of_the_soak_goes_between_its_marks():
    stop, kill = (next(one for one in FAULTS if one.kind == kind) for kind in (FAULTS[0].kind, "the command killed"))
    outcomes = [
        Outcome(stop, 1, kept="stopped"),
        Outcome(stop, 0),
        Outcome(kill, -signal.SIGKILL, owed="20200101T000000Z", cleaned=True),
    ]
    table = soak.as_table(outcomes, "1a2b")
    assert "| stopped (SIGTERM, Ctrl-C, closed terminal) | 2 | 0, 1 | 2 of 2 | 1 | 0 | 0 |" in table
    assert "| the command killed | 1 | −9 | 1 of 1 | 0 | 1 | 1 |" in table
    readme = soak.filled_in("before <!-- soak -->old<!-- /soak --> after", table)
    assert readme == f"before <!-- soak -->\n{table}\n<!-- /soak --> after"
    with pytest.raises(SystemExit, match="put them back"):
        soak.filled_in("no marks", table)
