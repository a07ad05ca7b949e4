"""What the README gives to schedulers: every block is taken out of it and used as its scheduler would."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import typer
import yaml

from anime_growth import cli, compare, errors, paths
from anime_growth.runs import Manner
from tests.end_to_end.conftest import BIN, TOP
from tests.end_to_end.light_chain import lighten

# Tests that look at the same run go to the same worker, so that the chain is executed once.
one_run = pytest.mark.xdist_group("served")
PLACE = "/srv/anime_growth"
BARE = {"PATH": "/usr/bin:/bin"}
COMMANDS = typer.main.get_command(cli.app)
NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount"]
can_isolate = shutil.which("unshare") and not subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode


def fenced(language: str) -> list[str]:
    """The blocks of the README in one language."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def unit(kind: str) -> str:
    """The text of the systemd unit of that kind."""
    (found,) = (block for block in fenced("ini") if block.startswith(f"# anime-growth.{kind}\n"))
    return found


def settings(text: str) -> dict[str, list[str]]:
    """The settings of a unit file by name; a name may be set several times."""
    pairs = re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE)
    return {name: [value for other, value in pairs if other == name] for name, _ in pairs}


def program(study: Path, body: str) -> None:
    """Put a shell script in the place of the study's `anime-growth`."""
    path = study / ".venv/bin/anime-growth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def call(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment as bare as that of systemd or cron."""
    return subprocess.run(command, cwd=cwd, env={**BARE, **environment}, capture_output=True, text=True, timeout=300)


def real(study: Path) -> str:
    """A script that is the real command, for the study in this folder."""
    return f'ANIME_GROWTH_HOME={shlex.quote(str(study))} exec {shlex.quote(str(BIN / "anime-growth"))} "$@"'


@pytest.fixture
def fake(tmp_path):
    """A folder whose `anime-growth` says what it was asked and ends with the code in the file `code`."""
    program(tmp_path, 'echo "asked for $*"\nexit "$(cat code)"')
    return tmp_path


# --- systemd ------------------------------------------------------------------------------------------
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("kind", ["service", "timer"])
def test_systemd_finds_nothing_to_say_about_the_units(fake, kind):
    for name in ("service", "timer"):
        (fake / f"anime-growth.{name}").write_text(unit(name).replace(PLACE, str(fake)))
    done = subprocess.run(["systemd-analyze", "verify", fake / f"anime-growth.{kind}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_timer_starts_the_service_on_a_day_that_systemd_understands_and_catches_up():
    timer = settings(unit("timer"))
    assert timer["Persistent"] == ["yes"] and timer["WantedBy"] == ["timers.target"]
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "calendar", *timer["OnCalendar"]], capture_output=True, text=True)
        assert done.returncode == 0 and "Next elapse" in done.stdout


def test_schedulers_wait_longer_than_a_run_may_take():
    service = settings(unit("service"))
    waited = float(re.search(r"--wait (\d+)", service["ExecStart"][0])[1])
    minutes = int(re.fullmatch(r"(\d+)min", *service["TimeoutStartSec"])[1])
    assert 60 * minutes > waited + Manner().run
    assert dag().tasks["run"].timeout > timedelta(seconds=Manner().run)
    job = workflow()["jobs"]["run"]
    assert 60 * job["timeout-minutes"] > Manner().run


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A light study after the service has run in a sandbox like its own; what each of its commands did."""
    study = tmp_path_factory.mktemp("served")
    for name in ("data/raw", "data/processed/published", "notebooks"):
        shutil.copytree(paths.home() / name, study / name)
    lighten(study)
    program(study, real(study))
    (study / "tmp").mkdir()
    (study / "home").mkdir()
    service = settings(unit("service").replace(PLACE, str(study)))
    done = [
        call(_sandboxed(shlex.split(line), service, study), study, HOME=str(study / "home"), TMPDIR=str(study / "tmp"))
        for line in service["ExecStart"]
    ]
    return study, done


def _sandboxed(command: list[str], service: dict[str, list[str]], study: Path) -> list[str]:
    """The command with the network cut and everything read-only but ReadWritePaths and a private tmp."""
    if not can_isolate:
        return command
    asked = {name: service[name] for name in ("PrivateNetwork", "PrivateTmp", "ProtectSystem", "ProtectHome")}
    assert asked == {
        "PrivateNetwork": ["yes"], "PrivateTmp": ["yes"], "ProtectSystem": ["strict"], "ProtectHome": ["read-only"]
    }  # fmt: skip
    writable = [*service["ReadWritePaths"], str(study / "tmp")]
    steps = [f"mount --bind {shlex.quote(path)} {shlex.quote(path)}" for path in writable]
    steps += ["mount -o remount,bind,ro /", f"cd {shlex.quote(str(study))}", "! touch written 2>/dev/null"]
    return [*NAMESPACES, "sh", "-euc", "; ".join([*steps, f"exec {shlex.join(command)}"])]


@one_run
def test_the_service_runs_the_study_in_its_sandbox_and_tells_what_moved(served):
    study, (run, told) = served
    assert run.returncode == 0, run.stderr
    assert (study / "data/processed/runs/latest/report.html").is_file()
    assert told.returncode == 0, told.stderr
    assert "data/processed/published" in told.stdout.splitlines()[0]


def test_a_home_folder_that_cannot_be_written_to_leaves_no_trace_in_what_is_drawn(tmp_path):
    nowhere = tmp_path / "file"
    nowhere.touch()
    command = [sys.executable, "-c", "from anime_growth import figures; import matplotlib; matplotlib.get_cachedir()"]
    done = call(command, tmp_path, HOME=str(nowhere), MPLCONFIGDIR=str(nowhere / "x"))
    assert (done.returncode, done.stderr) == (0, "")


# --- cron ---------------------------------------------------------------------------------------------
FIELDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


def refuse_bad_schedule(text: str) -> None:
    """Each of the five fields is a star or a number in its range."""
    given = text.split()
    assert len(given) == len(FIELDS)
    for field, (low, high) in zip(given, FIELDS.values(), strict=True):
        assert field == "*" or low <= int(field) <= high, text


@pytest.fixture
def cron(served):
    """Runs the crontab's command as cron does; the study's `run` is as scripted, its last run published."""
    study, _ = served
    published = study / "data/processed/published"
    shutil.rmtree(published)
    shutil.copytree((study / "data/processed/runs/latest").resolve(), published)
    shutil.rmtree(published / "notebooks")

    def mailed(run: str) -> str:
        program(study, f'case "$1" in run) {run} ;; *) {real(study)} ;; esac')
        done = call(["/bin/sh", "-c", crontab()[1].replace(PLACE, str(study))], Path("/"), HOME="/", LOGNAME="anime")
        return done.stdout + done.stderr

    return SimpleNamespace(mailed=mailed, published=published)


def crontab() -> tuple[str, str]:
    """When and what, of the README's line."""
    (line,) = (line for block in fenced("crontab") for line in block.splitlines())
    when, command = re.fullmatch(r"((?:\S+ ){4}\S+)\s+(.*)", line).groups()
    return when, command


def test_the_crontab_has_a_schedule_and_a_command_that_cron_does_not_cut():
    when, command = crontab()
    refuse_bad_schedule(when)
    assert "%" not in command


@one_run
def test_cron_has_nothing_to_mail_when_nothing_moved(cron):
    assert cron.mailed("echo Report; echo running >&2") == ""


@one_run
def test_cron_mails_the_digest_when_a_number_moved(cron):
    path = cron.published / "quantities.json"
    known = json.loads(path.read_text())
    known["market.overseas.level.2024"]["value"] += 1
    path.write_text(json.dumps(known))
    mail = cron.mailed("echo Report; echo running >&2")
    assert "Numbers moved" in mail and "`market.overseas.level.2024` | 21703" in mail


@one_run
def test_cron_mails_why_a_run_failed_and_does_not_go_on(cron):
    mail = cron.mailed("echo 'anime-growth: 03_fit_trends, cell 4: it broke' >&2; exit 1")
    assert mail == "anime-growth: 03_fit_trends, cell 4: it broke\n"


# --- GitHub -------------------------------------------------------------------------------------------
def workflow() -> dict:
    """The scheduled workflow as data; YAML reads its word `on` as true."""
    return yaml.safe_load((TOP / ".github/workflows/scheduled.yml").read_text(encoding="utf-8"))


def step(command: str) -> dict:
    """The one step of the workflow whose script holds `command`."""
    (found,) = (one for one in workflow()["jobs"]["run"]["steps"] if command in one.get("run", ""))
    return found


def test_the_workflow_runs_on_a_schedule_or_by_hand_may_only_read_and_keeps_the_run():
    told = workflow()
    for entry in told[True]["schedule"]:
        refuse_bad_schedule(entry["cron"])
    asked = told[True]["workflow_dispatch"]["inputs"]["fail_on"]
    assert (asked["options"], asked["default"]) == (["never", "verdict", "number", "data"], "never")
    assert step("diff")["env"]["FAIL_ON"] == "${{ inputs.fail_on || vars.FAIL_ON || 'never' }}"
    assert told["permissions"] == {"contents": "read"}
    assert step("make run")["run"] == "make run"
    kept = next(one for one in told["jobs"]["run"]["steps"] if "upload-artifact" in one.get("uses", ""))
    assert kept["if"] == "always()"


@pytest.mark.parametrize("name", ["20260101T000000Z", "failed-20260101T000000Z"])
def test_the_artifact_holds_the_run_whether_it_failed_or_not(tmp_path, name):
    kept = next(one for one in workflow()["jobs"]["run"]["steps"] if "upload-artifact" in one.get("uses", ""))
    run = tmp_path / "data/processed/runs" / name
    run.mkdir(parents=True)
    (run.parent / "latest").symlink_to(name)
    assert list(tmp_path.glob(kept["with"]["path"])) == [run]


def told(folder: Path, fail_on: str, code: int) -> tuple[int, str]:
    """Exit code and job summary of the step that tells what moved, when diff ends with `code`."""
    (folder / "code").write_text(str(code))
    (folder / "step.sh").write_text(step("diff")["run"])
    summary = folder / "summary.md"
    summary.unlink(missing_ok=True)
    ended = call(["bash", "-e", "step.sh"], folder, FAIL_ON=fail_on, GITHUB_STEP_SUMMARY=str(summary))
    return ended.returncode, summary.read_text() if summary.exists() else ended.stderr


@pytest.mark.parametrize(
    ("fail_on", "failing"), [("never", ()), ("verdict", (30,)), ("number", (20, 30)), ("data", (10, 20, 30))]
)
def test_the_workflow_tells_what_moved_and_fails_only_where_asked(fake, fail_on, failing):
    for code in (compare.SAME, compare.NEW_DATA, compare.MOVED, compare.FLIPPED):
        ended, summary = told(fake, fail_on, code)
        assert summary == "asked for diff published latest --exit-code\n"
        assert ended == (code if code in failing else 0)


@pytest.mark.parametrize("fail_on", ["never", "verdict", "number", "data"])
def test_a_diff_that_fails_itself_always_fails_the_workflow(fake, fail_on):
    for code in (errors.FAILED, errors.BAD_INPUT, 137):
        assert told(fake, fail_on, code)[0] == code


def test_the_workflow_refuses_another_word_for_what_fails(fake):
    ended, said = told(fake, "numbers; touch canary", 0)
    assert ended == 2 and "choose never, verdict, number or data" in said
    assert not (fake / "canary").exists()


# --- Airflow ------------------------------------------------------------------------------------------
def dag() -> SimpleNamespace:
    """The README's DAG, executed with stand-ins for Airflow: its own settings, and its tasks by name."""
    made = SimpleNamespace(given={}, tasks={})

    class Dag:
        def __init__(self, dag_id, *, schedule, start_date, catchup, max_active_runs):
            made.given.update(schedule=schedule, catchup=catchup, max_active_runs=max_active_runs)

        def __enter__(self):
            return self

        def __exit__(self, *problem):
            return None

    class BashOperator:
        def __init__(self, *, task_id, bash_command, cwd, skip_on_exit_code, execution_timeout=None):
            self.command, self.cwd, self.skip, self.timeout = bash_command, cwd, skip_on_exit_code, execution_timeout
            self.after = []
            made.tasks[task_id] = self

        def __rshift__(self, other):
            self.after.append(other)

    operators = "airflow.providers.standard.operators"
    stand_ins = {"airflow.sdk": {"DAG": Dag}, f"{operators}.bash": {"BashOperator": BashOperator}}
    packages = {name: {} for name in ("airflow", "airflow.providers", "airflow.providers.standard", operators)}
    (source,) = (block for block in fenced("python") if "airflow" in block)
    with pytest.MonkeyPatch.context() as patch:
        for name, content in {**packages, **stand_ins}.items():
            module = ModuleType(name)
            vars(module).update(content)
            patch.setitem(sys.modules, name, module)
        names: dict = {}
        exec(source, names)
    assert names["STUDY"] == PLACE
    return made


def test_airflow_runs_then_tells_and_skips_where_another_run_is_at_work_or_data_is_new(fake):
    made = dag()
    refuse_bad_schedule(made.given["schedule"])
    assert (made.given["catchup"], made.given["max_active_runs"]) == (False, 1)
    run, tell = made.tasks["run"], made.tasks["tell_what_moved"]
    assert run.after == [tell]
    assert (run.skip, tell.skip) == (errors.LOCKED, compare.NEW_DATA)
    for task, asked in ((run, "run --log-format json"), (tell, "diff published latest --exit-code")):
        assert task.cwd == PLACE
        for code in (errors.DONE, task.skip):
            (fake / "code").write_text(str(code))
            done = call(["bash", "-c", task.command], fake)
            assert (done.returncode, done.stdout) == (code, f"asked for {asked}\n")


# --- the documents and the command line ---------------------------------------------------------------
def commands_in(document: str) -> list[tuple[str, list[str]]]:
    """Every command that a document shows, with its options; a bare option belongs to the command "".

    Shown are lines of blocks and words in backticks, of which those count that start with one of our commands.
    """
    text = (TOP / document).read_text(encoding="utf-8")
    shown = [line for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    shown += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = []
    for piece in (piece for line in shown for piece in re.split(r"&&|;|\"", line)):
        after = re.search(r"anime-growth (.*)", piece)
        words = (after[1] if after else piece).split()
        options = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
        if words and words[0] in COMMANDS.commands:
            found.append((words[0], options))
        elif words and (after or words[0].startswith("--")):
            found.append(("" if words[0] in options else words[0], options))
    return found


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_command_and_option_that_a_document_names_exists(document):
    known = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in COMMANDS.commands.items()
    }
    known[""] = {"--help"}.union(*known.values(), *(parameter.opts for parameter in COMMANDS.params))
    found = commands_in(document)
    assert len(found) > 5
    for command, options in found:
        assert command in known, command
        assert set(options) <= known[command], f"{command} {options}"


def test_the_exit_codes_of_the_readme_are_those_of_the_program():
    text = (TOP / "README.md").read_text(encoding="utf-8")
    table = re.search(r"\| exit code \| means \|\n\|[-|]+\|\n(.*?)\n\n", text, re.DOTALL)[1]
    listed = [int(code) for row in table.splitlines() for code in row.split("|")[1].split(",")]
    assert listed == [
        *(errors.DONE, errors.FAILED, errors.BAD_INPUT, errors.DEADLINE, errors.LOCKED),
        *(compare.NEW_DATA, compare.MOVED, compare.FLIPPED),
    ]
    assert f"`--notebook-deadline` ({Manner().notebook:g} s)" in table
    assert f"`--deadline` ({Manner().run:g} s)" in table
