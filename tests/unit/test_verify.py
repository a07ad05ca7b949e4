"""The certificate: what it says of a run that is as another one, and of copies that are spoilt in one place."""

import json
import re
import shutil
import subprocess

import pytest

from anime_growth import offline, parameters, paths, records, runs, scratch, verify
from anime_growth.errors import InputError

MANNER = runs.Manner(run=600)
GROWTH = "market.overseas.growth.2024"
RATE = "fx.usdjpy.level.2024"
TREND = "trend.overseas.drift.growth"
RATES_FILE = "exchange_rates/2026-10-30/usdjpy_annual.csv"
MARKET_FILE = "aja/2025/aja_market_editions.csv"
RECORD = {
    "started": "2026-01-01T00:00:00+00:00",
    "ended": "2026-01-01T00:00:42+00:00",
    "exit_class": "done",
    "parameters": parameters.Parameters().model_dump(),
    "git": {"commit": "0123456789abcdef", "dirty": False},
    "lock": "sha256:1",
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"numpy": "2.4.6", "scipy": "1.17.1"},
    "raw_files": {RATES_FILE: "sha256:1", MARKET_FILE: "sha256:1"},
    "code": {"src/anime_growth/trends.py": "sha256:1"},
}


def a_run(folder):
    """A finished run that is as the published one."""
    shutil.copytree(paths.published(), folder)
    shutil.copytree(paths.notebooks(), folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    artefacts = records.artefacts(folder)
    (folder / "run.json").write_text(json.dumps({**RECORD, "run_id": folder.name, "artefacts": artefacts}))
    return folder


@pytest.fixture
def before(tmp_path):
    return a_run(tmp_path / "20260101T000000Z")


@pytest.fixture
def after(tmp_path, before):
    shutil.copytree(before, tmp_path / "20260102T000000Z")
    return tmp_path / "20260102T000000Z"


def certified(before, after):
    """The certificate that `after` gets: its text, and its data."""
    verify.certify(before, after, MANNER)
    return (after / "certificate.md").read_text(), json.loads((after / "certificate.json").read_text())


def change_record(folder, **fields):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, **fields}))


def scale(folder, factor, *keys):
    path = folder / "quantities.json"
    entries = json.loads(path.read_text())
    for key in keys:
        entries[key]["value"] *= factor
    path.write_text(json.dumps(entries))


def flip(folder):
    path = folder / "verdicts.csv"
    path.write_text(path.read_text().replace(",supported,", ",contradicted,", 1))


def add_line(path, line):
    path.write_text(f"{path.read_text()}{line}\n")


def rows(text, heading):
    """Rows of the table below a heading, each as its cells."""
    part = text.split(f"## {heading}")[1].split("\n## ")[0]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in part.splitlines() if line.startswith("|")][2:]


# --- its first line ---------------------------------------------------------------------------------
def test_a_run_that_is_the_same_matches_in_everything(before, after):
    text, data = certified(before, after)
    size = len(json.loads((before / "quantities.json").read_text()))
    assert text.splitlines()[0].startswith(f"# Everything matches: {size:,} quantities, ")
    assert text.splitlines()[0].endswith(" verdicts, 1 text, 6 notebooks.")
    assert "What differs" not in text and "code, packages, Python and platform are those of 20260101T000000Z" in text
    assert (data["exit_code"], data["items"], data["environment"], data["remarks"]) == (0, [], [], [])
    assert data["verdict"] == text.splitlines()[0].removeprefix("# ")
    assert f"| quantities | {size:,} | 0 | 0 | 0 | 0 |" in text


@pytest.mark.parametrize(
    ("spoil", "line", "code"),
    [
        (lambda run: scale(run, 1 + 1e-7, GROWTH), r"Everything agrees: .*; 1 within tolerance, the others", 0),
        (lambda run: scale(run, 1 + 1e-3, GROWTH), r"1 quantity differs\.", 20),
        (lambda run: scale(run, 1 + 1e-3, GROWTH, RATE), r"2 quantities differ\.", 20),
        (lambda run: (run / "figures/backtest.csv").unlink(), r"1 figure is missing\.", 20),
        (flip, r"1 verdict flipped\.", 30),
        (lambda run: (flip(run), scale(run, 2, RATE)), r"1 verdict flipped; 1 quantity differs\.", 30),
        (
            lambda run: add_line(run / "tables/spot_rates.csv", "2026-01-05,156.5,S079,x"),
            r"New data: 1 table with something new; nothing that was known moved\.",
            10,
        ),
    ],
)
def test_its_first_line_says_in_plain_words_what_the_exit_code_says_in_a_number(before, after, spoil, line, code):
    spoil(after)
    text, data = certified(before, after)
    assert re.match(f"# {line}", text)
    assert data["exit_code"] == code


# --- what differs -----------------------------------------------------------------------------------
def test_a_difference_is_shown_with_both_sides_and_by_how_much(before, after):
    scale(after, 1.001, GROWTH)
    text, data = certified(before, after)
    ((what, was, now, note, behind),) = rows(text, "What differs")
    assert what.strip() == f"quantity `{GROWTH}` differs"
    assert (was.strip(), now.strip()[:8], note.strip()) == ("26.01323888050169 %", "26.03925", "+0.1 %")
    assert behind.strip() == "nothing that is recorded"
    assert [item["name"] for item in data["items"]] == [GROWTH]


def test_flipped_verdicts_come_first_and_what_is_within_tolerance_only_in_the_data(before, after):
    scale(after, 1.001, GROWTH)
    scale(after, 1 + 1e-7, RATE)
    flip(after)
    (after / "tables/trends.csv").unlink()
    text, data = certified(before, after)
    assert [row[0].split()[0] for row in rows(text, "What differs")] == ["verdict", "quantity", "table"]
    assert [item["status"] for item in data["items"]] == ["differs", "differs", "missing", "within tolerance"]
    assert "parts" in data["items"][0] and "parts" not in data["items"][-1]


def test_it_stays_one_page_and_the_data_have_everything(before, after):
    entries = json.loads((after / "quantities.json").read_text())
    scale(after, 1.001, *entries)
    change_record(after, packages={f"package-{n}": "1" for n in range(200)})
    text, data = certified(before, after)
    assert len(text.splitlines()) < 80
    assert len(rows(text, "What differs")) == len(rows(text, "What it was made with")) == verify.MOST_SHOWN
    beyond = [item for item in data["items"] if item["kind"] == "quantity" and item["status"] == "differs"]
    assert f"{len(beyond) - verify.MOST_SHOWN} more are in certificate.json." in text
    assert len(data["environment"]) == 202
    assert (after / "certificate.json").stat().st_size < 5_000_000


def test_the_cells_of_a_table_that_differ_are_in_the_data_without_those_within_tolerance(before, after):
    path = after / "tables/market.csv"
    path.write_text(path.read_text().replace(",21702.0,", ",21703.0,").replace("5.784201296274409", "5.7842012962"))
    _, data = certified(before, after)
    (item,) = data["items"]
    assert [part["name"] for part in item["parts"]] == ["year 2024, series overseas, level_jpy_100m"]


# --- what lies behind it ----------------------------------------------------------------------------
def behind(data, key):
    item = next(item for item in data["items"] if item["name"] == key)
    return [(one["kind"], one["name"]) for one in item["behind"]]


def test_a_number_names_the_raw_files_behind_it_that_differ_and_no_other(before, after):
    change_record(after, raw_files={RATES_FILE: "sha256:2", MARKET_FILE: "sha256:1", "targets/x.csv": "sha256:2"})
    scale(after, 1.001, RATE, GROWTH, "market.overseas.level_usd.2024")
    text, data = certified(before, after)
    assert behind(data, RATE) == [("raw file", RATES_FILE)]
    assert behind(data, "market.overseas.level_usd.2024") == [("raw file", RATES_FILE)]
    assert behind(data, GROWTH) == []
    assert f"raw file {RATES_FILE}".replace("_", "\\_") in text


def test_a_number_names_the_parameters_that_it_depends_on(before, after):
    change_record(after, parameters={**RECORD["parameters"], "start_year": 2012})
    scale(after, 1.001, RATE, TREND)
    text, data = certified(before, after)
    assert behind(data, TREND) == [("parameter", "start_year")]
    assert behind(data, RATE) == []
    assert "- parameters: start\\_year 2012" in text


def test_a_verdict_rests_on_the_raw_files_of_its_evidence(before, after):
    change_record(after, raw_files={RATES_FILE: "sha256:2", "regions/none.csv": "sha256:2", MARKET_FILE: "sha256:1"})
    evidence = {"anime_overtakes_autos.C07": True, "anime_overtakes_autos.C01": False}
    path = after / "verdicts.csv"
    header, *lines = path.read_text().splitlines()
    for claim in evidence:
        number = claim.split(".")[1]
        lines = [line + " more" if line.startswith(f"{number},anime_overtakes") else line for line in lines]
    path.write_text("\n".join([header, *lines]) + "\n")
    _, data = certified(before, after)
    for claim, rests_on_rates in evidence.items():
        assert (("raw file", RATES_FILE) in behind(data, claim)) == rests_on_rates, claim


def test_a_table_may_rest_on_every_raw_file_that_differs(before, after):
    change_record(after, raw_files={RATES_FILE: "sha256:2"})
    (after / "tables/trends.csv").unlink()
    _, data = certified(before, after)
    assert behind(data, "trends") == [("raw file", MARKET_FILE), ("raw file", RATES_FILE)]


def test_packages_code_and_platform_may_lie_behind_every_difference(before, after):
    change_record(
        after, packages={"numpy": "2.5.0"}, code={"src/anime_growth/trends.py": "sha256:2"}, platform="Darwin"
    )
    change_record(after, lock="sha256:2", git={"commit": "fedc", "dirty": False})  # which say the same once more
    scale(after, 1.001, GROWTH)
    text, data = certified(before, after)
    ((*_, told),) = rows(text, "What differs")
    assert told.strip() == "package numpy, scipy; code src/anime\\_growth/trends.py; platform"
    shown = [[cell.strip() for cell in row] for row in rows(text, "What it was made with")]
    assert ["package numpy", "2.4.6", "2.5.0"] in shown and ["package scipy", "1.17.1", "none"] in shown
    assert len(data["environment"]) == 6


def test_what_an_older_record_does_not_say_is_not_recorded(before, after):
    kept = {name: RECORD[name] for name in ("parameters", "python", "packages", "raw_files")}
    (before / "run.json").write_text(json.dumps(kept))
    text, data = certified(before, after)
    assert ["commit", "not recorded", RECORD["git"]["commit"]] in [
        [cell.strip() for cell in row] for row in rows(text, "What it was made with")
    ]
    assert data["exit_code"] == 0


# --- how it was made --------------------------------------------------------------------------------
def test_it_says_how_the_run_was_made_and_what_it_was_compared_with(before, after):
    text, data = certified(before, after)
    made = text.split("## How it was made")[1]
    for words in ("20260101T000000Z", RECORD["git"]["commit"], "sha256:1", "3.11.7 on Linux, 2 packages", "not cut"):
        assert words in made
    assert "42 s; at most 600 s were allowed" in made
    assert data["against"] == {
        "name": before.name,
        **{name: records.file_hash(before / name) for name in ("run.json", "quantities.json")},
    }
    assert all(data["against"][name] in made for name in ("run.json", "quantities.json"))


def test_it_says_when_files_were_not_as_they_were_committed(before, after):
    change_record(after, git={"commit": "0123", "dirty": True})
    text, data = certified(before, after)
    assert "The checkout that ran has uncommitted changes." in text
    assert "0123, with uncommitted changes" in text
    assert data["exit_code"] == 0


def test_it_says_when_the_run_verified_against_was_changed_since(before, after):
    (before / "narrative.md").write_text("Something else.\n")
    shutil.copyfile(before / "narrative.md", after / "narrative.md")
    text, _ = certified(before, after)
    assert "The run verified against is not as it ended: narrative.md changed since." in text


def test_it_says_when_the_published_results_have_uncommitted_changes(tmp_path, monkeypatch, after):
    home = tmp_path / "home"
    shutil.copytree(paths.published(), home / "data/processed/published")
    shutil.copytree(paths.notebooks(), home / "notebooks", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.setenv(paths.HOME_VARIABLE, str(home))
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=home, check=True)
    text, data = certified(paths.published().resolve(), after)
    assert data["against"]["name"] == "data/processed/published"
    assert data["remarks"] == [] and data["counts"]["notebook"]["match"] == 6
    add_line(paths.notebooks() / "01_clean_figures.ipynb", "")
    text, _ = certified(paths.published().resolve(), after)
    assert "Published files have uncommitted changes: notebooks/01\\_clean\\_figures.ipynb." in text


# --- what data may hold -----------------------------------------------------------------------------
def test_nothing_out_of_the_data_is_markdown_or_html_in_the_certificate(before, after):
    attack = "a | b ` c\n# d <script>alert(1)</script> [e](f) \x1b[31m"
    entries = json.loads((after / "quantities.json").read_text())
    entries[GROWTH]["label"] = attack
    (after / "quantities.json").write_text(json.dumps(entries))
    (after / "narrative.md").write_text(f"{attack}\n")
    (after / "tables" / "a `b` | c.csv").write_text("year\n2002\n")
    change_record(after, packages={attack: attack}, platform=attack, python=attack, run_id=attack, lock=attack)
    text, _ = certified(before, after)
    assert "\x1b" not in text and "\n# d" not in text
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)\[e", text)
    for heading, size in (("What differs", 5), ("What it was made with", 3)):
        assert {len(row) for row in rows(text, heading)} == {size}


# --- running again ----------------------------------------------------------------------------------
@pytest.fixture
def fake_run(before, monkeypatch):
    """Instead of the chain: a copy of `before` appears, with what `before_end` adds; the values it was given."""
    given = []

    def run(values, on_step, before_end, tick, manner):
        given.append(dict(values))
        work = shutil.copytree(before, before.parent / "working-20260102T000000Z")
        before_end(work)
        return work.rename(before.parent / "20260102T000000Z")

    monkeypatch.setattr(runs, "run", run)
    return given


def test_the_study_is_run_with_the_parameters_of_the_run_verified_against(before, fake_run):
    change_record(before, parameters={**RECORD["parameters"], "start_year": 2012})
    folder, code = verify.verify(before, manner=MANNER)
    assert fake_run == [{"start_year": 2012}]
    assert (code, folder.name) == (0, "20260102T000000Z")
    assert (folder / "certificate.md").exists() and (folder / "certificate.json").exists()


def test_a_parameter_that_has_its_default_is_not_given_so_that_notebooks_are_as_they_are_committed(before, fake_run):
    verify.verify(before, manner=MANNER)
    assert fake_run == [{}]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: change_record(run, exit_class="failed"), r"has not ended well \(failed\)"),
        (lambda run: (run / "run.json").write_text("{"), r"run\.json: is damaged"),
        (lambda run: (run / "run.json").unlink(), r"is not there"),
        (lambda run: (run / "quantities.json").unlink(), r"holds no finished run"),
        (lambda run: (run / "tables/market.csv").write_bytes(b"\xff"), r"market\.csv: is damaged"),
        (lambda run: (run / "tables/sources.csv").unlink(), r"holds no finished run"),
        (lambda run: (run / "notebooks/06_narrative.ipynb").write_text("{"), r"06_narrative\.ipynb: is damaged"),
    ],
)
def test_what_cannot_be_compared_with_is_refused_before_anything_is_run(before, fake_run, spoil, words):
    spoil(before)
    with pytest.raises(InputError, match=words) as refused:
        verify.verify(before, manner=MANNER)
    assert fake_run == [] and "\n" not in str(refused.value)


def test_from_scratch_the_clone_verifies_against_its_own_published_results_or_a_named_run(before, monkeypatch):
    asked = []

    def run(arguments, good, on_step, tick, manner):
        asked.append(list(arguments))
        (before / "certificate.json").write_text('{"exit_code": 10}')
        return before

    monkeypatch.setattr(scratch, "run", run)
    assert verify.verify("published", from_scratch=True) == (before, 10)
    assert verify.verify(before, from_scratch=True) == (before, 10)
    assert asked == [["verify", "published"], ["verify", str(before)]]


def test_it_says_in_what_environment_it_ran_and_how_the_network_was_cut(before, after, monkeypatch):
    assert "- environment: the one at hand" in certified(before, after)[0]
    monkeypatch.setenv(scratch.VARIABLE, "yes")
    monkeypatch.setattr(offline, "told", lambda: "cut by scissors")
    text, _ = certified(before, after)
    assert "- environment: made from the lock, in a clean clone\n- network: cut by scissors" in text
