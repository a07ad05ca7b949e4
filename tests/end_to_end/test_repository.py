"""The repository keeps its promises: documents, environments and the published results agree."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from anime_growth import narrative, paths, pipeline
from anime_growth.quantities import Quantities
from tests.end_to_end.conftest import BIN, TOP, blocks, shell


def test_environment_yml_is_what_pyproject_and_the_lock_say():
    made = subprocess.run([sys.executable, TOP / ".ci/environment.py"], capture_output=True, text=True, check=True)
    assert (TOP / "environment.yml").read_text() == made.stdout, "run `make lock`"


def test_environment_yml_names_every_library_of_the_study_at_the_version_that_is_tested():
    pins = dict(
        line.split("==")
        for line in yaml.safe_load((TOP / "environment.yml").read_text())["dependencies"][2]["pip"]
        if "==" in line
    )
    assert {"jupyterlab", "pandas", "seaborn", "statsmodels", "papermill", "nbval"} <= set(pins)
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert set(pins) == set(project["dependencies"])


def test_the_lock_agrees_with_pyproject():
    command = [BIN / "uv", "lock", "--check", "--offline", "--python", sys.executable]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md", "data/README.md"):
        named = set(re.findall(r"(?:`|^)make ([a-z]+)", (TOP / document).read_text(), re.MULTILINE))
        assert named <= targets, document
    listed = shell("make help").stdout
    assert {"run", "test", "lab"} <= set(re.findall(r"^([a-z]+)\t", listed, re.MULTILINE))


def test_every_file_and_folder_that_the_readme_links_exists():
    for document in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (TOP / document).read_text()):
            assert (TOP / link).exists(), link


def test_the_finding_of_the_readme_is_that_of_the_published_run():
    told = re.search(r"<!-- finding -->(.*?)<!-- /finding -->", (TOP / "README.md").read_text(), re.DOTALL)[1]
    q = Quantities.read(paths.published() / "quantities.json")
    for key in ("market.overseas.level.2024", "market.overseas.growth.2024", "market.overseas.growth_usd.2024"):
        assert q[key].text in told
    assert "<!--" not in told and len(told) > 200


def test_the_published_narrative_has_700_to_1200_words():
    text = (paths.published() / "narrative.md").read_text(encoding="utf-8")
    assert 700 <= narrative.words_in(text) <= 1200


def test_the_published_folder_holds_what_the_steps_promise():
    published = {str(path.relative_to(paths.published())) for path in paths.published().rglob("*") if path.is_file()}
    promised = {name for spec in pipeline.STEPS.values() for name in spec.promises}
    kept = {name for name in promised if not name.startswith("quantities/")} - {
        "report.html",
        "trace.html",
        "finding.md",
        "limits.md",
    }
    assert published == kept | {"run.json", "certificate.md", "certificate.json", "forecasts.csv", "canary.csv"}


def test_every_published_quantity_reaches_raw_cells_with_hash_and_source():
    entries = json.loads((paths.published() / "quantities.json").read_text())
    hashes = {item for item in json.loads((paths.published() / "run.json").read_text())["raw_files"].values()}
    reached = {}

    def raw(key):
        if key not in reached:
            inputs = entries[key]["inputs"]
            cells = [name for name in inputs if isinstance(name, dict)]
            reached[key] = [*cells, *(cell for name in inputs if isinstance(name, str) for cell in raw(name))]
        return reached[key]

    for key in entries:
        assert raw(key), key
        for cell in raw(key):
            assert f"sha256:{cell['sha256']}" in hashes
            assert re.match(r"S\d{3}$", cell["source_id"])


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_command_of_the_documents_is_known(document):
    """Commands that run long are run by other tests; here each one is at least understood."""
    for block in blocks(document):
        for line in block.splitlines():
            words = line.split("#")[0].split()
            if words[:1] == [".venv/bin/anime-growth"]:
                assert shell(f".venv/bin/anime-growth {words[1]} --help").returncode == 0, line
            else:
                assert words[0] in ("make", "export", "for", "done", "sed", ".venv/bin/papermill"), line


def test_the_package_command_drafts_a_new_edition_as_contributing_shows(copy_of_study):
    new = copy_of_study / "data/raw/aja/2026"
    new.mkdir()
    shutil.copyfile(new.parent / "2025/aja_market_editions.csv", new / "aja_market_editions.csv")
    command = next(block for block in blocks("CONTRIBUTING.md") if " package " in block)
    done = shell(command, cwd=copy_of_study, ANIME_GROWTH_HOME=str(copy_of_study))
    assert done.returncode == 0, done.stderr
    draft = json.loads(done.stdout)
    assert draft["edition"] == "2026"
    assert [resource["name"] for resource in draft["resources"]] == ["aja_market_editions"]


def test_the_narrative_templates_ship_with_the_package():
    assert {path.name for path in narrative.TEMPLATES.iterdir()} == {
        *("narrative.en.md.j2", "claims.en.md.j2", "finding.en.md.j2", "limits.en.md.j2"),
        *("narrative.ja.md.j2", "claims.ja.md.j2", "finding.ja.md.j2", "limits.ja.md.j2"),
        *("words.ja.yml", "figures.ja.yml", "report.ja.yml"),
        *("report.html.j2", "trace.html.j2", "report.css", "report.js", "annual_series.json", "claims.json"),
        *("certificate.md.j2", "changelog.md.j2", "digest.md.j2"),
    }
