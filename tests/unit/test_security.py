"""Text from outside stays text: it is never run, leads nowhere outside the study, and no secret is repeated."""

import ast
import html
import json
import logging
import re
import signal
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from anime_growth import cli, narrative, parameters, paths, pipeline, rules, sources
from anime_growth.errors import InputError
from anime_growth.quantities import Quantities

# Each would leave a file called `canary` if anything ran it: Python, IPython, a shell, Jinja or a format string.
ATTACKS = {
    "python": "__import__('os').system('touch canary')",
    "python after a closing quote": "'; __import__('os').system('touch canary') #",
    "python after three quotes": '"""\n__import__("os").system("touch canary")\n"""',
    "python on a second line": "all\n__import__('os').system('touch canary')",
    "an escaped quote": "\\'; __import__('os').system('touch canary') #",
    "a magic": "x\n%system touch canary",
    "a shell escape": "x\n!touch canary",
    "a template": "{{ cycler.__init__.__globals__.os.system('touch canary') }}",
    "a statement of a template": "{% set x = cycler.__init__.__globals__.os.system('touch canary') %}",
    "a shell": "$(touch canary)",
    "a shell in backticks": "`touch canary`",
    "a format": "{0.__class__.__init__.__globals__}",
}
OUTSIDE = ("../../x", "/etc", "../raw", "..", "a/b", "a\\b", "market.overseas/..", "~", "all,../x", "market.overseas\n")
TEXTS = [name for name, field in parameters.Parameters.model_fields.items() if field.annotation is str]
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@pytest.fixture(autouse=True)
def canary(tmp_path, monkeypatch):
    """Work in a folder where nothing may leave a canary."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("canary"))


@pytest.fixture
def anime_growth(study, canary):
    """Call the command line in this process, in a copy of the study's raw data; its output in one text."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.app, list(words))
        return done.exit_code, done.output

    yield call
    for number, handler in kept.items():
        signal.signal(number, handler)
    logging.getLogger("anime_growth").handlers = []


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


# --- parameters -----------------------------------------------------------------------------------------
@every_attack
@pytest.mark.parametrize("name", parameters.NAMES)
def test_an_attack_as_a_parameter_is_refused_in_one_line_before_anything_is_run(anime_growth, study, name, attack):
    before = files(study)
    code, said = anime_growth("run", "-p", f"{name}={attack}")
    assert code == 2
    assert len(said.splitlines()) == 1
    assert files(study) == before


@every_attack
def test_what_papermill_injects_is_a_literal_whatever_it_is_given(attack):
    """Whoever calls papermill without the command line meets this cell before the step refuses the value."""
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    values = dict.fromkeys(pipeline.STEPS["03_fit_trends"].parameters, attack)
    made = parameterize_notebook(load_notebook_node(str(paths.notebooks() / "03_fit_trends.ipynb")), values)
    (cell,) = (cell for cell in made.cells if "injected-parameters" in cell.metadata.get("tags", ()))
    assigned = ast.parse(cell.source).body
    assert all(isinstance(line, ast.Assign) for line in assigned)
    assert {line.targets[0].id: ast.literal_eval(line.value) for line in assigned} == values


@pytest.mark.parametrize("text", OUTSIDE)
@pytest.mark.parametrize("name", TEXTS)
def test_no_parameter_is_a_way_out_of_the_study(name, text):
    assert TEXTS == ["series", "articles"]
    with pytest.raises(InputError, match=f"parameter {name}"):
        parameters.check({name: text})


@pytest.mark.parametrize("name", ["PASSWORD", "api_key", "GITHUB_TOKEN", "db.passwd", "client-secret", "Authorization"])
@pytest.mark.parametrize("form", ["{}=hunter2", "{}:hunter2", "{} hunter2", "{}:hunter2=", "{}=edition=hunter2"])
@pytest.mark.parametrize("log", ["text", "json"])
def test_a_secret_is_refused_by_its_name_and_its_value_repeated_nowhere(anime_growth, study, name, form, log):
    before = files(study)
    code, said = anime_growth("run", "--log-format", log, "-p", form.format(name))
    assert code == 2
    assert "looks like a secret" in said and "hunter2" not in said
    assert files(study) == before
    if log == "json":
        assert json.loads(said)["exit_code"] == 2


def test_no_parameter_of_the_study_looks_like_a_secret():
    assert not [name for name in parameters.NAMES if parameters.SECRET.search(name)]


# --- rules ------------------------------------------------------------------------------------------------
EXPRESSION = {
    "computed": lambda text: {"computed": text, "unit": "%"},
    "unit": lambda text: {"computed": "market.total.level.2024", "unit": text},
    "holds": lambda text: {"holds": text},
    "dollars.of": lambda text: {"dollars": {"of": text, "at": "fx.usdjpy.level.2024"}},
    "dollars.at": lambda text: {"dollars": {"of": "market.total.level.2024", "at": text}},
    "dollars.or_at": lambda text: {"dollars": {"of": "a.b.c", "at": "d.e.f", "or_at": [text]}},
    "alternatives.holds": lambda text: {"holds": "a.b.c > 1", "alternatives": [{"holds": text, "say": "so"}]},
    "caveats.when": lambda text: {"holds": "a.b.c > 1", "caveats": [{"when": text, "say": "so"}]},
    "tolerance": lambda text: {"computed": "a.b.c", "unit": "%", "tolerance": text, "tolerance_reason": "why"},
}


@every_attack
@pytest.mark.parametrize("field", EXPRESSION)
def test_an_attack_as_an_expression_of_a_rule_is_refused(field, attack):
    with pytest.raises(InputError):
        rules.read_rule("rules.yml, claim X1", EXPRESSION[field](attack), "another")


@every_attack
def test_an_attack_as_a_sentence_of_a_rule_is_refused_or_told_as_it_stands(attack):
    try:
        rule = rules.read_rule("rules.yml, claim X1", {"not_checkable": attack}, "another")
    except InputError:
        return
    if keys := rules.keys_in(attack):
        assert set(keys) == set(rule.used()), "what stands in braces is only ever looked up among the quantities"
        return
    for as_html in (False, True):
        told = narrative.Teller(Quantities(""), as_html).filled(attack)
        shown = MarkdownIt("commonmark", {"html": True}).render(str(told))
        assert html.unescape(re.sub("<[^>]+>", "", shown)).split() == attack.split()


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/object/new:os.system", "!!python/name:os.system", "!!map"]
)
def test_yaml_makes_nothing_but_plain_data(tmp_path, tag):
    path = tmp_path / "rules.yml"
    path.write_text(f"X1: {tag} ['touch canary']\n", encoding="utf-8")
    with pytest.raises(InputError):
        rules._read(path, "another", ["X1"])


def test_a_loader_that_makes_objects_would_leave_the_canary(tmp_path):
    """The attack above is a real one."""
    yaml.load("X1: !!python/object/apply:os.system ['touch canary']", Loader=yaml.UnsafeLoader)
    (tmp_path / "canary").unlink()


# --- folders ----------------------------------------------------------------------------------------------
def test_an_article_that_is_a_link_to_a_folder_outside_is_refused(study, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "article"
    inside = paths.raw() / "articles/ann_record_market"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(InputError, match="claims.csv: lies outside data/raw. Put the file itself"):
        sources.raw_files()


@pytest.mark.parametrize("path", ["../../../../outside.csv", "{outside}"])
def test_a_package_that_names_a_file_outside_is_refused(edit, study, path):
    outside = study / "outside.csv"
    outside.write_text("year\n2024\n", encoding="utf-8")
    edit.package("targets.csv", lambda package: package["resources"][0].update(path=path.format(outside=outside)))
    with pytest.raises(InputError, match="outside.csv: lies outside data/raw. Put the file itself"):
        sources.raw_files()


def test_raw_data_may_as_a_whole_lie_behind_a_link(study, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk") / "raw"
    paths.raw().rename(elsewhere)
    (study / "data/raw").symlink_to(elsewhere)
    assert sources.raw_files()


@pytest.mark.parametrize("command", [["diff", "{}", "published"], ["publish", "{}"], ["verify", "{}"]])
@pytest.mark.parametrize("place", ["../../x", "/etc", "..", "", "published/../../x", "latest/../../.."])
def test_a_folder_that_is_no_run_is_refused_and_nothing_is_written_there(anime_growth, study, command, place):
    before = files(study)
    code, said = anime_growth(*(word.format(place) for word in command))
    assert (code, len(said.splitlines())) == (2, 1)
    assert files(study) == before
