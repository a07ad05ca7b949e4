"""Publishing: from a verified run only, all at once, with the change log's entry drafted."""

import json
import shutil

import pytest

from anime_growth import codebook, data_package, disk, paths, records
from tests.end_to_end.conftest import TOP, blocks, seal, shell

# The canary takes a minute and has tests of its own.
WITHOUT_CANARY = """
from anime_growth import canary, cli

canary.write = lambda folder, tell: (folder / "canary.csv").write_text("cell\\n")
cli.app(["publish"])
"""


@pytest.fixture
def publish(copy_of_study):
    """Call `anime-growth publish` in the copy, with a canary that costs nothing."""
    command = f".venv/bin/python -c '{WITHOUT_CANARY}'"
    return lambda: shell(command, cwd=copy_of_study, ANIME_GROWTH_HOME=str(copy_of_study))


def everything(study):
    """What publishing may change, and what it must not."""
    return {
        str(path.relative_to(study)): path.read_bytes()
        for path in study.rglob("*")
        if path.is_file() and "runs" not in path.relative_to(study).parts
    }


def test_it_writes_the_reference_the_notebooks_the_finding_and_the_codebook(copy_of_study, verified_run):
    command = next(line for b in blocks("CONTRIBUTING.md") for line in b.splitlines() if "anime-growth publish" in line)
    published = copy_of_study / "data/processed/published"
    published.mkdir(parents=True)
    for name in ("run.json", "quantities.json", "verdicts.csv"):  # nothing behind the canary's table differs
        (published / name).write_bytes((verified_run / name).read_bytes())
    shutil.copyfile(TOP / "data/processed/published/canary.csv", published / "canary.csv")
    described = copy_of_study / "data/README.md"
    described.write_text(codebook.SECTION.sub(r"\1\2", described.read_text()))
    done = shell(command, cwd=copy_of_study, ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 0, done.stderr
    assert "<!-- finding -->A new finding.<!-- /finding -->" in (copy_of_study / "README.md").read_text()
    assert "market.{series}.level.{year}" in described.read_text().replace("`", "")
    assert (published / "quantities.json").read_bytes() == (verified_run / "quantities.json").read_bytes()
    assert records.read(published)["run_id"] == verified_run.name
    assert (published / "certificate.md").is_file() and (published / "canary.csv").is_file()
    for path in (TOP / "notebooks").glob("*.ipynb"):
        assert (copy_of_study / "notebooks" / path.name).read_text() == path.read_text()
    assert not (published.parent / "publishing").exists()


def unverified(run):
    (run / "certificate.json").unlink()
    (run / "certificate.md").unlink()
    record = records.read(run)
    records.write({**record, "artefacts": records.artefacts(run)}, run)


REFUSED = {
    "is not verified": unverified,
    "differs from another run": lambda run: seal(run, {}, exit_code=20),
    "is not as it ended: tables/market.csv has changed": lambda run: (run / "tables/market.csv").write_text("by hand"),
    "lacks verdicts.csv": lambda run: (run / "verdicts.csv").unlink(),
    "was made with other than default parameters": lambda run: seal(
        run, {"parameters": {**records.read(run)["parameters"], "start_year": 2010}}
    ),
    "was made from other raw figures than those here": lambda run: seal(run, {"raw_files": {}}),
    "was made by other code than that here": lambda run: seal(run, {"code": {"src/anime_growth/clean.py": "sha256:0"}}),
    "was made while files differed from the commit": lambda run: seal(run, {"git": {"commit": "0", "dirty": True}}),
    "run.json: is damaged": lambda run: (run / "run.json").write_text("{"),
    "certificate.json: is damaged": lambda run: ((run / "certificate.json").write_text("[]"), reseal(run)),
    "README.md: has no marks around the finding": lambda run: (run.parents[3] / "README.md").write_text("no marks"),
    "data/README.md: has no marks around the codebook": lambda run: (run.parents[3] / "data/README.md").write_text(""),
}


def reseal(run):
    records.write({**records.read(run), "artefacts": records.artefacts(run)}, run)


@pytest.mark.parametrize("words", REFUSED)
def test_anything_else_is_refused_in_one_line_and_nothing_is_touched(copy_of_study, verified_run, publish, words):
    REFUSED[words](verified_run)
    before = everything(copy_of_study)
    done = publish()
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line
    assert everything(copy_of_study) == before


def test_what_was_killed_before_all_was_ready_is_thrown_away(study):
    (study / "README.md").write_text("old")

    def killed(home):
        (home / "README.md").write_text("new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.replace_as_one(killed)
    disk.finish_replacing()
    assert (study / "README.md").read_text() == "old"
    assert not (paths.published().parent / "publishing").exists()


@pytest.mark.parametrize("step", range(1, 8))
def test_what_is_killed_at_any_step_after_that_is_carried_to_its_end_by_the_next_command(study, monkeypatch, step):
    """The power goes at the n-th renaming; whoever comes next finds all of the new and nothing of the old."""
    names = ("README.md", "CHANGELOG.md", "data/README.md", "data/processed/published/run.json")
    for name in names:
        (study / name).parent.mkdir(parents=True, exist_ok=True)
        (study / name).write_text("old")
    (study / "data/processed/published/gone.csv").write_text("old")

    def prepare(home):
        for name in names:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text("new")

    with monkeypatch.context() as patch:
        calls = []
        for module, name in ((disk.os, "replace"), (disk.Path, "rename"), (disk.shutil, "rmtree")):
            real = getattr(module, name)

            def faulty(*arguments, real=real, **more):
                calls.append(arguments)
                if len(calls) == step:
                    raise SystemExit("the power is gone")
                return real(*arguments, **more)

            patch.setattr(module, name, faulty)
        with pytest.raises(SystemExit):
            disk.replace_as_one(prepare)
    disk.finish_replacing()
    assert {(study / name).read_text() for name in names} == {"new"}
    assert not (study / "data/processed/published/gone.csv").exists()
    assert not (paths.published().parent / "publishing").exists()


def test_forecasts_are_added_to_the_ledger_once_and_a_damaged_one_is_refused(copy_of_study, verified_run, publish):
    book = copy_of_study / "data/processed/published/forecasts.csv"
    for _ in range(2):
        done = publish()
        assert done.returncode == 0, done.stderr
        first = book.read_text().splitlines()
        assert len(first) == 1 + 8 * 9  # models, years to 2033
        assert all(line.startswith("2026-01-01,2025,market.overseas,yen,2002,") for line in first[1:])
    table = verified_run / "tables/projections.csv"
    table.write_text(table.read_text().replace(",drift,2033,", ",drift,2034,"))
    seal(verified_run, {"started": "2026-02-01T00:00:00+00:00"})
    assert publish().returncode == 0
    later = book.read_text().splitlines()
    assert later[: len(first)] == first and len(later) == len(first) + 1
    assert later[-1].startswith("2026-02-01,2025,market.overseas,yen,2002,drift,2034,")
    described = {item["path"]: item["hash"] for item in data_package.read(book.parent)["resources"]}
    assert described["forecasts.csv"] == records.file_hash(book) and "canary.csv" in described
    book.write_text(book.read_text().replace("drift", "drift,", 1))
    refused = publish()
    assert refused.returncode == 2
    message = refused.stderr.strip().splitlines()[-1]
    assert "data/processed/published/forecasts.csv" in message and "git checkout" in message
    assert (copy_of_study / "data/processed/published/quantities.json").is_file()


def test_the_change_log_gets_an_entry_that_names_what_moved_and_why(copy_of_study, verified_run, publish):
    assert publish().returncode == 0
    changelog = copy_of_study / "CHANGELOG.md"
    assert "Published 2026-01-01" not in changelog.read_text(), "the first publication moves nothing"
    path = verified_run / "quantities.json"
    entries = json.loads(path.read_text())
    entries["market.overseas.growth.2024"]["value"] = 27.5
    path.write_text(json.dumps(entries))
    seal(verified_run, {"packages": {**records.read(verified_run)["packages"], "numpy": "99.0"}})
    assert publish().returncode == 0
    told = changelog.read_text()
    assert told.index("## Unreleased") < told.index("### Published 2026-01-01") < told.index("Eight models in place")
    assert "market.overseas.growth.2024" in told and "numpy" in told
    once = told
    assert publish().returncode == 0
    assert changelog.read_text() == once, "published again, nothing moved"
