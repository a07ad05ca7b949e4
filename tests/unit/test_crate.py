"""A run as an RO-Crate: the validator finds it valid, and it says what the run's record says."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import requests
from rocrate.rocrate import ROCrate
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils import log
from rocrate_validator.utils.http import HttpRequester

from anime_growth import crate, data_package, paths, records
from anime_growth.errors import InputError
from anime_growth.steps import STEPS

CONTEXT = Path(__file__).parents[1] / "vendored/ro-crate-1.1-context.jsonld"
PROFILE = "provenance-run-crate-0.5"
# What the profiles recommend and a run cannot have, or has not recorded.
NOT_FOLLOWED = {
    "The Action SHOULD have an agent": "who ran it is not recorded",
    "The `publisher` property of a `Root Data Entity`": "nobody has published a run",
    "The Application SHOULD have a url": "the study has no address of its own yet",
    "The organization SHOULD have a URL": "nor have its authors",
    "The SoftwareApplication id SHOULD be an absolute URI": "notebooks and workflow lie in the crate itself",
    "The README.md SHOULD": "a run has no README",
    "Web-based Data Entity ni:///": "raw figures are named by their hashes, which no server answers to",
}
of_rdflib = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")
NOTEBOOK = "03_fit_trends"
TIMES = {"start_time": "2026-11-23T09:57:34.328034+00:00", "end_time": "2026-11-23T09:57:49.327433+00:00"}


@pytest.fixture
def run(tmp_path):
    """A finished run with all that a crate speaks of, made from what is published and committed."""
    folder = shutil.copytree(paths.published(), tmp_path / "run")
    shutil.copytree(paths.notebooks(), folder / "notebooks", ignore=shutil.ignore_patterns("README.md", ".*"))
    (folder / "run.log").write_text("running\n")
    for page in ("index.html", "trace/one.html"):
        (folder / "site" / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / "site" / page).write_text("<p>")
    for name in STEPS:
        executed(folder, name, TIMES)
    data_package.write(folder)
    crate.write(folder)
    return folder


def executed(folder, name, times):
    """Let a notebook tell when papermill executed it."""
    path = folder / "notebooks" / f"{name}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["papermill"] = times
    path.write_text(json.dumps(notebook), encoding="utf-8")


def entities(folder):
    graph = json.loads((folder / crate.METADATA).read_text(encoding="utf-8"))["@graph"]
    assert len({entity["@id"] for entity in graph}) == len(graph)
    return {entity["@id"]: entity for entity in graph}


def ids(value):
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


class Offline:
    """Answers for the one address that the validator may ask for, the context of RO-Crate."""

    def get(self, url, *_, **__):
        answer = requests.Response()
        answer.url, answer.status_code = url, 504
        if url == "https://w3id.org/ro/crate/1.1/context":
            answer.status_code, answer._content = 200, CONTEXT.read_bytes()
            answer.headers["Content-Type"] = "application/ld+json"
        return answer

    head = get


def issues(folder, severity, cache):
    """What the RO-Crate validator finds: pairs of severity and message."""
    settings = ValidationSettings(
        rocrate_uri=str(folder),
        profile_identifier=PROFILE,
        requirement_severity=severity,
        offline=True,
        cache_path=cache,
    )
    log.basicConfig(logging.CRITICAL)  # else it prints all that it found once more when Python ends
    requester = HttpRequester()
    requester.session.close()
    requester.session = Offline()
    return {(issue.severity, issue.message) for issue in services.validate(settings).get_issues()}


@of_rdflib
def test_the_validator_finds_all_that_is_required_and_what_is_recommended_but_for_what_is_not_known(run, tmp_path):
    found = issues(run, Severity.RECOMMENDED, tmp_path / "cache")
    assert {message for severity, message in found if severity >= Severity.REQUIRED} == set()
    messages = {message for _, message in found}
    assert {message for message in messages if not message.startswith(tuple(NOT_FOLLOWED))} == set()
    assert all(any(message.startswith(known) for message in messages) for known in NOT_FOLLOWED)


@of_rdflib
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda graph: graph["#chain"].pop("result"), "OrganizeAction must reference the action representing the"),
        (lambda graph: graph["#run"].pop("instrument"), "MUST have an instrument"),
    ],
)
def test_the_validator_finds_what_is_amiss(run, tmp_path, spoil, said):
    path = run / crate.METADATA
    described = json.loads(path.read_text(encoding="utf-8"))
    spoil({entity["@id"]: entity for entity in described["@graph"]})
    path.write_text(json.dumps(described), encoding="utf-8")
    required = {message for _, message in issues(run, Severity.REQUIRED, tmp_path / "cache")}
    assert any(said in message for message in required)


def test_it_is_the_same_bytes_each_time(run):
    first = (run / crate.METADATA).read_bytes()
    crate.write(run)
    assert (run / crate.METADATA).read_bytes() == first


def test_rocrate_reads_it_again(run):
    read = ROCrate(run)
    assert read.mainEntity.id == "workflow.py"
    assert {entity.id for entity in read.data_entities} >= {"tables/market.csv", "site/", "quantities.json"}


def test_every_file_is_told_with_its_hash_or_by_its_folder(run):
    found = entities(run)
    hashes = records.artefacts(run)
    for name, text in hashes.items():
        if name != crate.METADATA and not name.startswith("site/"):
            assert text == f"sha256:{found[name]['sha256']}"
            assert found[name]["contentSize"] == str((run / name).stat().st_size)
    assert found["site/"]["@type"] == "Dataset" and "site/index.html" not in found
    assert not {"sha256", "contentSize"} & {*found["run.json"], *found["run.log"]}  # they are written on
    assert set(ids(found["./"]["hasPart"])) >= {*hashes} - {name for name in hashes if "site/" in name} - {
        crate.METADATA
    }


def test_the_workflow_is_the_steps_in_their_order(run):
    found = entities(run)
    workflow = found["workflow.py"]
    notebooks = [f"notebooks/{name}.ipynb" for name in STEPS]
    assert ids(workflow["hasPart"]) == notebooks
    steps = [found[step] for step in ids(workflow["step"])]
    assert [(step["position"], *ids(step["workExample"])) for step in steps] == [
        (str(place), name) for place, name in enumerate(notebooks, 1)
    ]
    source = Path(crate.steps.__file__)
    assert (run / "workflow.py").read_bytes() == source.read_bytes()
    assert ids(found["./"]["mainEntity"]) == ["workflow.py"]


def test_parameters_raw_figures_and_packages_are_those_of_the_record(run):
    found, record = entities(run), records.read(run)
    values = {name: found[f"#{name}-value"]["value"] for name in record["parameters"]}
    assert values == {name: str(value) for name, value in record["parameters"].items()}
    raw = {entity["name"]: entity for key, entity in found.items() if key.startswith("ni:")}
    assert {name: f"sha256:{entity['sha256']}" for name, entity in raw.items()} == {
        f"data/raw/{name}": text for name, text in record["raw_files"].items()
    }
    # Made by hand: printf %s <sha256> | xxd -r -p | base64
    market = raw["data/raw/aja/2025/aja_market_editions.csv"]
    assert market["@id"] == "ni:///sha-256;OBoMsUbHpBctcsPD_x6slsfx8xWJsgFuXSvoCuWrGaU"
    assert "all rights reserved" in market["license"]
    packages = {
        found[key]["name"]: found[key]["softwareVersion"] for key in ids(found["workflow.py"]["softwareRequirements"])
    }
    assert (
        packages["pandas"] == record["packages"]["pandas"]
        and "pytest" not in packages
        and "distributed" not in packages
    )
    assert found["workflow.py"]["version"].startswith(record["git"]["commit"])
    assert found["#anime-growth"]["softwareVersion"] == record["packages"]["anime-growth"]


def test_the_run_and_each_step_are_told_with_their_times_and_what_they_rest_on(run):
    found, record = entities(run), records.read(run)
    whole, step = found["#run"], found[f"#run-{NOTEBOOK}"]
    assert (whole["startTime"], whole["endTime"]) == (record["started"], record["ended"])
    assert (step["startTime"], step["endTime"]) == ("2026-11-23T09:57:34+00:00", "2026-11-23T09:57:49+00:00")
    assert ids(step["instrument"]) == [f"notebooks/{NOTEBOOK}.ipynb"]
    assert {"tables/market.csv", "#basis-value"} <= set(ids(step["object"]))
    assert not {"tables/trends.csv", "#articles-value"} & set(ids(step["object"]))
    assert "tables/trends.csv" in ids(step["result"]) and "tables/market.csv" not in ids(step["result"])
    assert any(name.startswith("ni:") for name in ids(found["#run-01_clean_figures"]["object"]))
    assert found["#chain"]["result"] == {"@id": "#run"}
    assert [found[name]["object"]["@id"] for name in ids(found["#chain"]["object"])] == [
        f"#run-{name}" for name in STEPS
    ]
    assert set(ids(found["./"]["mentions"])) == {"#run", *(f"#run-{name}" for name in STEPS)}


def test_a_notebook_that_was_stopped_or_tells_no_times_has_none(run):
    executed(run, NOTEBOOK, {**TIMES, "end_time": None})
    crate.write(run)
    step = entities(run)[f"#run-{NOTEBOOK}"]
    assert step["startTime"] == "2026-11-23T09:57:34+00:00" and "endTime" not in step


def change(folder, **changes):
    record = records.read(folder)
    records.write({**record, **changes}, folder)


def test_a_step_that_was_taken_over_says_from_where(run):
    steps = records.read(run)["steps"]
    change(run, steps={**steps, NOTEBOOK: {**steps[NOTEBOOK], "reused_from": "20260101T000000Z"}})
    crate.write(run)
    assert entities(run)[f"#run-{NOTEBOOK}"]["description"] == "Taken over from run 20260101T000000Z."


def test_uncommitted_changes_and_no_clone_are_told(run):
    git = records.read(run)["git"]
    change(run, git={**git, "dirty": True})
    crate.write(run)
    assert entities(run)["workflow.py"]["version"] == f"{git['commit']} with uncommitted changes"
    change(run, git={})
    crate.write(run)
    assert entities(run)["workflow.py"]["version"] == records.read(run)["packages"]["anime-growth"]


def test_a_run_that_has_not_ended_well_is_refused_and_left_as_it_was(run):
    before = (run / crate.METADATA).read_bytes()
    change(run, exit_class="running")
    with pytest.raises(InputError, match="has not ended well") as refused:
        crate.write(run)
    assert "\n" not in str(refused.value) and (run / crate.METADATA).read_bytes() == before


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no run\.json"):
        crate.write(tmp_path)
    assert list(tmp_path.iterdir()) == []
