"""The repository keeps its promises: documents, environments and the published results agree."""

import json
import re
import subprocess
import sys
import tomllib

import yaml
from packaging.requirements import Requirement

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
    assert set(pins) == {Requirement(one).name for one in project["dependencies"]}


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


def test_the_start_page_of_jupyterlab_lists_the_notebooks_in_order_by_their_questions():
    listed = re.findall(r"^(\d)\. \[(.+)\]\((.+)\)$", (paths.notebooks() / "README.md").read_text(), re.MULTILINE)
    notebooks = sorted(paths.notebooks().glob("*.ipynb"))
    titles = [json.loads(path.read_text())["cells"][0]["source"] for path in notebooks]
    asked = ["".join(title).splitlines()[0] for title in titles]
    assert [(f"# {number}. {question}", name) for number, question, name in listed] == [
        (question, path.name) for question, path in zip(asked, notebooks, strict=True)
    ]


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
        "codebook.html",
        "finding.md",
        "limits.md",
    }
    added = {"forecasts.csv", "canary.csv", "datapackage.json"}
    assert published == kept | {"run.json", "certificate.md", "certificate.json", *added}


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


def test_every_command_of_the_readme_is_known():
    """Commands that run long are run by other tests; here each one is at least understood."""
    for block in blocks("README.md"):
        for line in block.splitlines():
            words = line.split("#")[0].split()
            if words[:1] == [".venv/bin/anime-growth"]:
                assert shell(f".venv/bin/anime-growth {words[1]} --help").returncode == 0, line
            else:
                assert words[0] in ("make", "export", "for", "done", ".venv/bin/papermill"), line


def test_the_templates_ship_with_the_package_and_each_is_used():
    package = narrative.TEMPLATES.parent
    written = "\n".join(
        path.read_text(encoding="utf-8") for path in package.rglob("*") if path.suffix in (".py", ".j2")
    )
    files = [path for path in narrative.TEMPLATES.rglob("*") if path.is_file() and path.name != "LICENSE"]
    assert {"narrative.en.md.j2", "report.html.j2", "uPlot.iife.min.js"} <= {path.name for path in files}
    for path in files:
        assert path.name in written or path.name.split(".")[0] in written, f"{path.name} is used nowhere"
