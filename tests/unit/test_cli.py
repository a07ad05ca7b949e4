"""The command line by itself: backfill, the list of runs, and how errors are told. Whole runs are end_to_end's."""

import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from anime_growth import cli, grid, parameters, paths, progress, records, runs, sweep, verify
from anime_growth.errors import DeadlinePassed, InputError, Locked, StepFailed, Stopped


@pytest.fixture
def anime_growth(study):
    """Call the command line in this process, in a copy of the study."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield lambda *words: CliRunner().invoke(cli.app, list(words))
    for number, handler in kept.items():
        signal.signal(number, handler)
    logging.getLogger("anime_growth").handlers = []


@pytest.fixture
def made(study, monkeypatch):
    """Runs are made at once, by a stand-in that leaves a finished folder; the parameters of each are listed."""
    asked = []

    def run(values, on_step=None, before_end=None, tick=None, manner=None):
        asked.append(values)
        if values.get("edition") == 2023 and values.get("start_year") == 2015:
            raise StepFailed("03_fit_trends, cell 4: no such luck. Read it.")
        run_id = f"20260101T0000{len(asked):02}Z"
        folder = study / "data/processed/runs" / run_id
        folder.mkdir(parents=True)
        record = records.begin(run_id, datetime.now(UTC), parameters.check(values), 0)
        records.write({**record, "exit_class": "done", "ended": records.now()}, folder)
        records.point_latest(folder)
        return folder

    monkeypatch.setattr(runs, "run", run)
    return asked


def test_backfill_makes_one_run_for_each_edition_the_newest_last(anime_growth, made):
    done = anime_growth("run", "--edition", "all", "-p", "horizon_year=2030")
    assert done.exit_code == 0
    assert made == [{"horizon_year": 2030, "edition": edition} for edition in (2022, 2023, 2024, 2025)]
    assert records.read(records.find("latest"))["parameters"]["edition"] == 2025


def test_backfill_skips_what_is_there_unless_asked_again(anime_growth, made):
    anime_growth("run", "--edition", "all")
    records.point_latest(records.find("20260101T000001Z"))
    second = anime_growth("run", "--edition", "all")
    assert len(made) == 4 and second.output.count("(was there)") == 4
    assert records.find("latest").name == "20260101T000004Z", "latest is the newest edition's again"
    anime_growth("run", "--edition", "all", "--again")
    assert len(made) == 8
    anime_growth("run", "--edition", "all", "-p", "start_year=2010")
    assert len(made) == 12, "other parameters are another run"


@pytest.mark.parametrize("changed", ["reads", "code", "lock", "environment", "python", "git"])
def test_a_run_of_other_figures_code_or_packages_is_not_the_same_run(anime_growth, made, changed):
    anime_growth("run", "--edition", "all")
    folder = records.find("latest")
    record = records.read(folder)
    records.write({**record, changed: "other"}, folder)
    anime_growth("run", "--edition", "all")
    assert [values["edition"] for values in made[4:]] == [2025]


def test_where_nothing_has_changed_the_run_that_is_there_is_named(anime_growth, made, study):
    anime_growth("run")
    anime_growth("run", "-p", "start_year=2010")
    done = anime_growth("run")
    assert "20260101T000001Z/report.html (nothing has changed since; --again runs it anyway)" in done.output
    assert len(made) == 2 and records.find("latest").name == "20260101T000001Z"
    assert "20260101T000003Z/report.html\n" in anime_growth("run", "--again").output


@pytest.mark.parametrize("target", ["latest", "20200101T000000Z", "/dev/null/x"])
def test_a_latest_that_leads_nowhere_is_mended_where_nothing_has_changed(anime_growth, made, study, target):
    anime_growth("run")
    link = study / "data/processed/runs/latest"
    link.unlink()
    link.symlink_to(target)
    assert anime_growth("runs", "--keep", "1").exit_code == 0
    assert anime_growth("run").exit_code == 0
    assert len(made) == 1 and os.readlink(link) == "20260101T000001Z"


@pytest.mark.parametrize("put", [Path.mkdir, Path.touch])
def test_what_is_no_link_is_not_replaced_by_latest(anime_growth, made, study, put):
    anime_growth("run")
    link = study / "data/processed/runs/latest"
    link.unlink()
    put(link)
    done = anime_growth("run")
    assert done.exit_code == 2
    assert done.output == (
        "anime-growth: data/processed/runs/latest: is no link, and a run would have to replace it. Move it away.\n"
    )
    assert not link.is_symlink() and not list(link.parent.glob(".latest-*"))


@pytest.mark.parametrize("words", [["runs"], ["run"], ["runs", "--keep", "0"]], ids=" ".join)
@pytest.mark.parametrize("place", ["data/processed/runs", "data/processed"])
def test_a_folder_of_runs_that_is_none_is_named(anime_growth, study, words, place):
    (study / place).parent.mkdir(exist_ok=True)
    (study / place).write_text("mine")
    done = anime_growth(*words)
    assert (done.exit_code, done.output) == (2, f"anime-growth: {place}: is no folder. Move it away.\n")
    assert (study / place).read_text() == "mine"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda study, folder: (folder / "report.html").write_text("edited by hand"),
        lambda study, folder: (folder.parent / "working-20260101T000002Z").mkdir(),
        lambda study, folder: (study / "data/processed/publishing").mkdir(),
    ],
)
def test_what_was_edited_or_broken_off_is_not_taken_for_unchanged(anime_growth, made, study, spoil):
    anime_growth("run")
    spoil(study, records.find("latest"))
    anime_growth("run")
    assert len(made) == 2


def test_an_edition_that_cannot_be_run_does_not_stop_the_others(anime_growth, made):
    done = anime_growth("run", "--edition", "all", "-p", "start_year=2015")
    assert done.exit_code == 1 and len(made) == 4
    assert "anime-growth: edition 2023: 03_fit_trends, cell 4: no such luck. Read it." in done.output
    assert done.output.splitlines()[-1] == ("anime-growth: not every edition could be run; the lines above say why.")


def test_runs_are_listed_newest_first_and_chosen_by_parameter_status_and_day(anime_growth, made):
    anime_growth("run", "--edition", "all")
    listed = json.loads(anime_growth("runs", "--json").output)
    assert [one["parameters"]["edition"] for one in listed] == [2025, 2024, 2023, 2022]
    (one,) = json.loads(anime_growth("runs", "--json", "-p", "edition=2023").output)
    assert one["run_id"] == "20260101T000002Z" and one["exit_class"] == "done"
    assert json.loads(anime_growth("runs", "--json", "--status", "failed").output) == []
    assert json.loads(anime_growth("runs", "--json", "--since", "2026-01-02").output) == []
    assert len(json.loads(anime_growth("runs", "--json", "--since", "2026-01-01").output)) == 4
    table = anime_growth("runs").output
    assert "edition=2024" in table and "20260101T000003Z" in table


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--status", "bad"], "--status bad: is unknown. Choose one of done, failed"),
        (["-p", "edtion=2024"], "parameter edtion: is unknown. Did you mean edition?"),
        (["--since", "yesterday"], "--since yesterday: is no day. Write for example 2026-11-30."),
        (["--since", "2026-13-01"], "--since 2026-13-01: is no day. Write for example 2026-11-30."),
    ],
)
def test_runs_cannot_be_chosen_by_what_is_none(anime_growth, words, said):
    done = anime_growth("runs", *words)
    assert done.exit_code == 2 and said in done.output


def test_pruning_keeps_the_newest_what_is_latest_and_what_the_published_results_rest_on(anime_growth, made, study):
    anime_growth("run", "--edition", "all")
    published = study / "data/processed/published"
    published.mkdir()
    (published / "run.json").write_text(json.dumps({"run_id": "20260101T000001Z"}))
    (published / "certificate.json").write_text(json.dumps({"against": {"name": "20260101T000002Z"}}))
    folder = study / "data/processed/runs"
    assert anime_growth("runs", "--keep", "1", "--dry-run").output.count("would remove") == 1
    (listed,) = json.loads(anime_growth("runs", "--keep", "1", "--dry-run", "--json").stdout)
    assert listed["run_id"] == "20260101T000003Z" and listed["exit_class"] == "done"
    assert len(list(folder.glob("2*"))) == 4
    assert "removed data/processed/runs/20260101T000003Z" in anime_growth("runs", "--keep", "0").output
    assert sorted(path.name[-3:-1] for path in folder.glob("2*")) == ["01", "02", "04"]
    (published / "run.json").write_text("{")
    refused = anime_growth("runs", "--keep", "0")
    assert refused.exit_code == 2 and "data/processed/published/run.json: is damaged" in refused.output
    assert len(list(folder.glob("2*"))) == 3


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (InputError("here", "is wrong", "Mend it"), 2, "here: is wrong. Mend it."),
        (StepFailed("03 broke."), 1, "03 broke."),
        (DeadlinePassed("03 hangs."), 3, "03 hangs."),
        (Locked("busy."), 4, "busy."),
        (Stopped("stopped from outside."), 1, "stopped from outside."),
        (KeyboardInterrupt(), 1, "stopped from outside."),
        (OSError(28, "No space left on device", "x.csv"), 1, "x.csv: No space left on device. Check that"),
        (TypeError("a\nb"), 1, "TypeError: a b (test_cli.py, line"),
    ],
)
def test_every_failure_is_one_line_and_an_exit_code(anime_growth, monkeypatch, problem, code, said):
    def run(*_, **__):
        raise problem

    monkeypatch.setattr(runs, "run", run)
    done = anime_growth("run")
    assert done.exit_code == code
    (line,) = done.output.splitlines()
    assert line.startswith("anime-growth: ") and said in line
    as_json = anime_growth("run", "--log-format", "json")
    entry = json.loads(as_json.output)
    assert as_json.exit_code == entry["exit_code"] == code
    assert said in entry["message"] and entry["level"] == "ERROR"


# Where a stream cannot be written, with the code of what was to be said, and what the other stream says.
FULL = [
    ("stdout", ["--help"], 1, "No space left on device"),
    ("stdout", ["run", "--help"], 1, "No space left on device"),
    ("stdout", ["runs"], 1, "No space left on device"),
    ("stdout", ["runs", "--json"], 1, "No space left on device"),
    ("stderr", ["--help"], 0, "Usage: anime-growth"),
    ("stderr", ["runs"], 0, "ended as"),
    ("stderr", ["runs", "--status", "bad"], 2, ""),
    ("stderr", ["runs", "--status", "bad", "--log-format", "json"], 2, ""),
    ("stderr", ["runs", "--nope"], 2, ""),
    ("stderr", ["nope"], 2, ""),
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("stream", "words", "code", "said"), FULL, ids=str)
def test_a_stream_that_takes_nothing_changes_no_code_and_shows_no_traceback(
    study, stream, words, code, said, unbuffered
):
    program = Path(sys.executable).parent / "anime-growth"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [program, *words],
            **{**streams, stream: full},
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            text=True,
            timeout=60,
        )
    heard = done.stderr if stream == "stdout" else done.stdout
    assert done.returncode == code and said in heard and "Traceback" not in heard
    assert stream == "stderr" or len(heard.splitlines()) == 1


@pytest.mark.parametrize(
    "words", [["trace", "{}"], ["trace", "a", "--run", "{}"], ["verify", "{}"], ["sweep", "{}"], ["runs", "-p", "{}"]]
)
def test_what_is_given_at_great_length_is_not_given_back_whole(anime_growth, study, words):
    shutil.copytree(Path(cli.__file__).parents[2] / "data/processed/published", study / "data/processed/published")
    done = anime_growth(*(word.format("k" * 100_000) for word in words))
    assert done.exit_code == 2 and "kkk…kkk" in done.output and len(done.output) < 1000


@pytest.fixture
def swept(study, monkeypatch):
    """Sweeps are done at once, by a stand-in; what each was asked for is listed."""
    asked = []

    def run(*words):
        asked.append(words)
        words[-1](sweep.Progress(1000, 1000, 2, 1000))
        return paths.sweeps() / "some/results", sweep.Progress(1000, 1000, 2, 1000)

    monkeypatch.setattr(sweep, "run", run)
    return asked


def test_a_sweep_is_told_what_was_asked_and_tells_where_its_results_are(anime_growth, swept, study):
    done = anime_growth("sweep", "some.yml")
    assert done.stdout == "Results: data/processed/sweeps/some/results (1,000 of 1,000, 2 with an error)\n"
    assert swept[0][:-1] == (Path("some.yml"), grid.Depth.model, None, None, None, False, 0)
    anime_growth(
        *("sweep", "some.yml", "--depth", "notebooks", "--jobs", "3", "--out", "there", "--again", "--wait", "5")
    )
    assert swept[1][:-1] == (Path("some.yml"), grid.Depth.notebooks, Path("there"), 3, None, True, 5)
    assert list(cli.Depth) == list(grid.Depth)


def test_a_bar_on_a_terminal_tells_how_far_a_sweep_is(anime_growth, swept, monkeypatch):
    monkeypatch.setattr(progress, "on_terminal", lambda: True)
    assert "1,000 of 1,000, 2 with an error" in anime_growth("sweep", "some.yml").output.splitlines()[0]


def test_processes_here_are_not_counted_for_a_cluster(anime_growth, swept):
    done = anime_growth("sweep", "some.yml", "--jobs", "2", "--scheduler", "tcp://127.0.0.1:9")
    assert done.exit_code == 2 and not swept
    assert done.output == "anime-growth: --jobs: is for processes here. Leave it out with --scheduler.\n"


def test_a_grid_that_is_refused_is_one_line(anime_growth, study):
    done = anime_growth("sweep", str(study / "none.yml"))
    assert done.exit_code == 2
    assert done.output == "anime-growth: none.yml: is missing. Write for example `start_year: [2002, 2012]`.\n"


@pytest.mark.parametrize("home", ["/nowhere", "circle"])
def test_a_study_that_is_not_there_is_named(anime_growth, monkeypatch, tmp_path, home):
    (tmp_path / "circle").symlink_to("circle")
    home = str(tmp_path / home)
    monkeypatch.setenv(paths.HOME_VARIABLE, home)
    for words in (["run"], ["runs"], ["trace", "market.overseas.growth.2024"]):
        done = anime_growth(*words)
        assert done.exit_code == 2
        assert done.output.startswith(f"anime-growth: ANIME_GROWTH_HOME {home}: is no folder. Let it name the top")


# --- help -------------------------------------------------------------------------------------------
PLAIN_TERMINAL = {"COLUMNS": "80", "TERM": "dumb"}
COMMANDS = typer.main.get_command(cli.app).commands


def examples(text: str) -> list[str]:
    """The lines below `Examples:` of a help text."""
    return [line.strip() for line in text.partition("Examples:\n")[2].splitlines() if line.strip()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_one_to_three_examples_that_it_would_understand(command):
    shown = examples(CliRunner().invoke(cli.app, [command, "--help"], env=PLAIN_TERMINAL).output)
    assert 1 <= len(shown) <= 3
    for line in shown:
        program, name, *words = shlex.split(line.partition(" > ")[0])
        assert (program, name) == ("anime-growth", command)
        COMMANDS[command].make_context(name, words, resilient_parsing=False)


def test_the_list_of_commands_says_all_of_each_in_80_columns():
    said = CliRunner().invoke(cli.app, ["--help"], env=PLAIN_TERMINAL).output
    listed = said.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) == len(COMMANDS) and all(line.endswith(".") and "..." not in line for line in listed)


# --- completion -------------------------------------------------------------------------------------
@pytest.fixture
def completed(study, made, anime_growth):
    """What each shell is offered for a line that ends where the cursor is, as its own script asks."""
    shutil.copytree(Path(cli.__file__).parents[2] / "data/processed/published", study / "data/processed/published")
    anime_growth("run")
    anime_growth("run", "-p", "basis=usd")

    def ask(line: str, shell: str = "bash") -> list[str]:
        pieces = line.replace("=", " = ").split(" ")  # where bash cuts words
        words = {"COMP_WORDS": "\n".join(pieces), "COMP_CWORD": str(len(pieces) - 1)}
        typed = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        asked = {"_ANIME_GROWTH_COMPLETE": f"complete_{shell}", **(words if shell == "bash" else typed)}
        program = Path(sys.executable).parent / "anime-growth"
        done = subprocess.run([program], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return [line for line in done.stdout.splitlines() if line]

    return ask


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("anime-growth ver", ["verify"]),
        ("anime-growth run --eng", ["--engine"]),
        ("anime-growth run --engine k", ["kernel"]),
        ("anime-growth run -p ba", ["basis=yen", "basis=usd", "basis=real"]),
        ("anime-growth run -p articles=ann", ["ann_record_market"]),
        ("anime-growth run -p basis=usd -p series=studio.o", ["studio.overseas"]),
        ("anime-growth run --parameter language=", ["en", "ja"]),
        ("anime-growth runs --status f", ["failed"]),
        ("anime-growth diff p", ["published"]),
        ("anime-growth diff published l", ["latest"]),
        ("anime-growth verify 2026", ["20260101T000002Z", "20260101T000001Z"]),
        ("anime-growth trace market.overseas.growth.2024", ["market.overseas.growth.2024"]),
        ("anime-growth trace claim.ann_record_market.A01", ["claim.ann_record_market.A01"]),
        ("anime-growth trace market.overseas.growth.2024 --run la", ["latest"]),
        ("anime-growth package data/raw/a", [
            "data/raw/aja/2025",
            "data/raw/articles/anime_overtakes_autos",
            "data/raw/articles/ann_record_market",
        ]),
        ("anime-growth trace no.such.key", []),
    ],
)  # fmt: skip
def test_a_shell_is_offered_what_may_come_next(completed, line, offered):
    assert completed(line) == offered


@pytest.mark.parametrize(
    ("shell", "shown"), [("zsh", '"20260101T000002Z":"basis=usd"'), ("fish", "20260101T000002Z\tbasis=usd")]
)
def test_other_shells_are_told_what_a_run_was_made_with_as_well(completed, shell, shown):
    assert any(shown in line for line in completed("anime-growth verify 2026", shell))


@pytest.mark.parametrize("words", ["trace ", "verify ", "run -p ", "package "])
def test_where_nothing_can_be_read_a_shell_is_offered_what_is_known_and_no_error(completed, study, words):
    shutil.rmtree(study / "data")
    assert set(completed(f"anime-growth {words}")) <= {"published"} | {
        *(f"{name}={value}" for name, value in parameters.Parameters().model_dump().items()),
        *("basis=usd", "basis=real"),
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_script_that_asks_for_completions(shell):
    program = Path(sys.executable).parent / "anime-growth"
    asked = {**os.environ, "_ANIME_GROWTH_COMPLETE": f"source_{shell}"}
    script = subprocess.run([program], env=asked, capture_output=True, text=True, timeout=60).stdout
    assert f"_ANIME_GROWTH_COMPLETE=complete_{shell}" in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


# --- what to do next --------------------------------------------------------------------------------
def test_a_run_says_what_may_come_next_to_people_only(anime_growth, made):
    done = anime_growth("run")
    assert re.fullmatch(r"Report: \S+/report\.html\n", done.stdout)
    (said,) = done.stderr.splitlines()
    assert said.startswith("Next: ") and " index.html " in said and "`anime-growth verify latest`" in said
    assert anime_growth("run", "--log-format", "json").stderr == ""


def test_every_command_named_in_what_may_come_next_exists():
    text = Path(cli.__file__).read_text(encoding="utf-8")
    named = re.findall(r"`anime-growth (\w+)", text)
    assert len(named) > 5 and set(named) <= {*COMMANDS}


@pytest.mark.parametrize(
    ("code", "against", "said"),
    [
        (0, "published", "nothing, all is as it was published."),
        (0, "latest", "`anime-growth publish` makes this run the reference"),
        (20, "latest", "`anime-growth diff 20260101T000001Z latest --attribute`"),
    ],
)
def test_verifying_says_what_its_certificate_means_to_do(
    anime_growth, made, monkeypatch, tmp_path, code, against, said
):
    anime_growth("run")
    (tmp_path / "certificate.md").write_text("# A verdict.\n")
    monkeypatch.setattr(verify, "verify", lambda *_, **__: (tmp_path, code))
    done = anime_growth("verify", against)
    assert done.exit_code == code and done.stdout.splitlines()[0] == "A verdict."
    assert said in done.stderr


def test_an_empty_list_of_runs_says_how_to_make_one(anime_growth, made):
    assert "Next: `anime-growth run` makes one." in anime_growth("runs").stderr
    anime_growth("run")
    assert "Next: ask for fewer conditions." in anime_growth("runs", "--status", "failed").stderr


# --- what is not imported costs nothing --------------------------------------------------------------
LOADED = """
import sys
from anime_growth import cli
try:
    cli.app(sys.argv[1:])
except SystemExit as end:
    heavy = {"pandas", "numpy", "statsmodels", "matplotlib", "papermill", "jupyter_client"}
    print(end.code, *sorted(heavy & sys.modules.keys()))
"""


MADE_READY = """
import sys
from anime_growth import cli
cli._manner(300, 1200, 0, 1, cli.Engine.forked)
from anime_growth import engine, execution, pages
from anime_growth.steps import STEPS
for spec in STEPS.values():
    execution.load(spec, engine.NAME)
pages.load("en")
print("pandas" in sys.modules, *sorted({"debugpy", "pyarrow", "rfc3987_syntax"} & sys.modules.keys()))
import pandas as pd
table = pd.DataFrame({"word": ["a", None], "number": [1, 2]})
table.to_parquet(sys.argv[1])
print(pd.read_parquet(sys.argv[1]).equals(table), "pyarrow" in sys.modules)
"""


def test_a_run_loads_nothing_that_no_notebook_needs_and_one_that_does_can(tmp_path):
    words = [sys.executable, "-c", MADE_READY, str(tmp_path / "table.parquet")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["True", "True True"], done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["run", "--help"],
        ["verify", "--help"],
        ["publish", "--help"],
        ["trace", "market.overseas.growth.2024"],
        ["runs"],
        ["run"],
    ],
    ids=" ".join,
)
def test_a_command_imports_no_library_that_it_does_not_use(anime_growth, made, study, command):
    shutil.copytree(Path(cli.__file__).parents[2] / "data/processed/published", study / "data/processed/published")
    anime_growth("run")
    words = [sys.executable, "-c", LOADED, *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "0", done.stderr
    assert command != ["run"] or "nothing has changed" in done.stdout
