"""CITATION.cff is valid by its own standard, and agrees with the package and with the raw figures."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

import anime_growth
from anime_growth import paths, sources

SCHEMA = json.loads((Path(__file__).parents[1] / "vendored/citation-file-format-1.2.0.json").read_text("utf-8"))


@pytest.fixture
def citation():
    return yaml.safe_load((paths.home() / "CITATION.cff").read_text("utf-8"))


def problems(citation):
    validator = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    return [error.message for error in validator.iter_errors(citation)]


def test_it_is_valid(citation):
    assert problems(citation) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda citation: citation.pop("authors"),
        lambda citation: citation.update({"date-released": "22 November 2026"}),
        lambda citation: citation.update(licence="MIT"),
        lambda citation: citation["references"][0].update(type="study"),
    ],
)
def test_what_is_invalid_is_found(citation, spoil):
    spoil(citation)
    assert problems(citation)


def test_it_agrees_with_the_package(citation):
    project = tomllib.loads((paths.home() / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["version"] == project["version"] == anime_growth.__version__
    assert citation["license"] == project["license"]
    assert citation["authors"] == project["authors"]
    name, _, title = citation["title"].partition(": ")
    assert name == anime_growth.__name__ and title == project["description"][0].lower() + project["description"][1:-1]


def test_the_sources_of_all_raw_figures_are_cited_and_no_others(citation):
    raw = [file for file in sources.raw_files() if not file.reference.startswith(("articles/", "register/"))]
    figures = {file.package.source for file in raw}
    cited = [author["name"] for reference in citation["references"] for author in reference["authors"]]
    assert [source for source in figures if not any(name in source for name in cited)] == []
    assert [name for name in cited if not any(name in source for source in figures)] == []
