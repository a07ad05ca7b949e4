"""Old runs are chosen and removed, never what something rests on. The command line itself is test_cli's."""

import json
import os
import shutil

import pytest

from anime_growth import housekeeping, locks, paths, records, runs
from anime_growth.errors import InputError, Locked

IDS = [f"2026010{day}T000000Z" for day in range(1, 7)]


@pytest.fixture
def made(study):
    """Six runs on six days, the last one latest."""
    for run_id in IDS:
        make(run_id, exit_class="done", parameters={"edition": 2025})
    (paths.runs() / "latest").symlink_to(IDS[-1])
    paths.published().mkdir()


def make(name, **record):
    folder = paths.runs() / name
    (folder / "tables").mkdir(parents=True)
    (folder / "tables/market.csv").touch()
    records.write({"parameters": {}, "raw_files": {}, **record}, folder)


def there():
    return sorted(run.folder.name for run in records.all_runs())


def prune(keep, **options):
    return [run.run_id for run in housekeeping.prune(housekeeping.select(None, {}, None), keep, **options)]


def test_the_oldest_are_removed_with_all_they_hold(made):
    assert prune(keep=4) == IDS[1::-1]
    assert there() == IDS[2:]
    assert not [path for path in paths.runs().iterdir() if path.name.startswith(".")]


def test_a_dry_run_says_the_same_and_removes_nothing(made):
    assert prune(keep=4, dry_run=True) == IDS[1::-1]
    assert there() == IDS


def test_latest_is_kept_whatever_is_asked(made):
    (paths.runs() / "latest").unlink()
    (paths.runs() / "latest").symlink_to(IDS[2])
    prune(keep=0)
    assert there() == [IDS[2]]


@pytest.mark.parametrize(
    ("name", "told"), [("run.json", {"run_id": IDS[0]}), ("certificate.json", {"against": {"name": IDS[0]}})]
)
def test_what_the_published_results_rest_on_is_kept(made, name, told):
    (paths.published() / name).write_text(json.dumps(told))
    prune(keep=0)
    assert there() == [IDS[0], IDS[-1]]


@pytest.mark.parametrize("name", ["run.json", "certificate.json"])
def test_where_it_is_not_known_what_they_rest_on_nothing_is_removed(made, name):
    (paths.published() / name).write_text("{")
    with pytest.raises(InputError, match=f"data/processed/published/{name}: is damaged. Restore it with git"):
        prune(keep=0)
    assert there() == IDS


def test_a_run_at_work_is_never_removed(made):
    make("working-20251231T000000Z", exit_class="running")
    prune(keep=0)
    assert "working-20251231T000000Z" in there()


def test_nothing_is_removed_while_a_run_is_at_work(made):
    with open(paths.runs() / locks.NAME, "w") as lock:
        lock.write(f"{os.getppid()}\n{os.uname().nodename}\n")
    with pytest.raises(Locked):
        prune(keep=0)
    assert there() == IDS


def test_what_is_killed_halfway_leaves_no_half_run_and_the_next_run_removes_the_rest(made, monkeypatch):
    def killed(folder):
        (folder / "run.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(keep=4)
    assert there() == [IDS[0], *IDS[2:]]
    runs.clean_up()
    assert sorted(path.name for path in paths.runs().iterdir()) == [IDS[0], *IDS[2:], "latest"]


def test_a_killed_run_is_found_ended_and_named_and_a_strangers_folder_is_let_be(made):
    make("working-20251231T000000Z", exit_class="running", run_id="20251231T000000Z", steps={})
    (paths.runs() / "working-notes").mkdir()
    runs.clean_up()
    record = records.read(paths.runs() / "failed-20251231T000000Z")
    assert (record["exit_class"], record["problem"]) == ("killed", "the run was killed before it could say why")
    assert (paths.runs() / "working-notes").is_dir()


def test_a_killed_run_without_a_record_is_named_too(made):
    (paths.runs() / "working-20251231T000000Z").mkdir()
    runs.clean_up()
    assert records.read(paths.runs() / "failed-20251231T000000Z")["exit_class"] == "killed"


@pytest.mark.parametrize(
    ("status", "since", "said"),
    [("bad", None, "--status bad: is unknown. Choose one of done"), (None, "monday", "--since monday: is no day")],
)
def test_what_cannot_be_chosen_by_is_refused(made, status, since, said):
    with pytest.raises(InputError, match=said):
        housekeeping.select(status, {}, since)


def test_runs_are_chosen_by_day_class_and_parameters(made):
    make("failed-20260105T000001Z", exit_class="deadline", parameters={"edition": 2024})

    def chosen(*how):
        return [run.run_id for run in housekeeping.select(*how)]

    assert chosen("deadline", {}, None) == ["20260105T000001Z"]
    assert chosen(None, {"edition": 2024}, None) == ["20260105T000001Z"]
    assert chosen("done", {}, "2026-01-05") == [IDS[5], IDS[4]]
