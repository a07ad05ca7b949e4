"""A step is opened with checked parameters and closed only when everything promised is there."""

from types import SimpleNamespace

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from anime_growth import parameters, paths, pipeline
from anime_growth.errors import InputError
from anime_growth.steps import STEPS


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.RUN_VARIABLE, str(tmp_path / "run"))
    return tmp_path / "run"


def fresh(**names):
    """A notebook's namespace when its first cells run."""
    return {"In": ["", "parameters", "start"], "__name__": "__main__", "_ih": [], **names}


def test_a_step_starts_with_its_defaults(run_folder):
    step = pipeline.start("01_clean_figures", fresh(edition="latest"))
    assert step.own_parameters() == {"edition": "latest"}
    assert step.folder == run_folder


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"edition": "2025"}, "'2025' .str. is not a year such as 2025, or latest"),
        ({"edition": True}, "is not a year such as 2025"),
        ({"edition": 2025.0}, "is not a year such as 2025"),
        ({"edition": "latest", "editon": 2024}, "parameter editon: is unknown. Did you mean edition"),
        ({"edition": "latest", "start_year": 2012}, "parameter start_year: is unknown. Valid: edition"),
    ],
)
def test_the_first_cell_refuses_what_papermill_would_let_pass(run_folder, values, message):
    with pytest.raises(InputError, match=message):
        pipeline.start("01_clean_figures", fresh(**values))


def test_names_that_a_worked_in_notebook_has_are_no_parameters(run_folder):
    worked = {**fresh(edition="latest", year=2024), "In": [""] * 9}
    assert pipeline.start("01_clean_figures", worked).own_parameters() == {"edition": "latest"}


def test_tables_that_a_notebook_shows_have_dashes_where_values_are_missing(run_folder):
    shell = SimpleNamespace(display_formatter=DisplayFormatter())
    pipeline.start("01_clean_figures", fresh(edition="latest", get_ipython=lambda: shell))
    years = pd.array([2012, None], dtype="Int64")
    frame = pd.DataFrame({"growth_pct": [8.25, None], "break_year": years, "is_fitted": [True, False]})
    shown, _ = shell.display_formatter.format(frame)
    assert "<td>8.25</td>" in shown["text/html"] and "<td>2012</td>" in shown["text/html"]
    for text in shown.values():
        assert text.count("–") == 2 and "NaN" not in text and "NA" not in text
    assert frame.isna().sum().sum() == 2, "what is saved keeps them"


def test_a_missing_input_says_what_to_run_first(run_folder):
    with pytest.raises(InputError, match=r"tables/market\.csv.*Run 01_clean_figures first"):
        pipeline.start("02_describe_market", fresh(edition="latest"))


def test_a_step_cannot_end_without_what_it_promised(run_folder):
    step = pipeline.start("01_clean_figures", fresh(edition="latest"))
    step.save_table("market", pd.DataFrame({"year": [2024]}))
    with pytest.raises(RuntimeError, match=r"ends without .*tables/checks\.csv"):
        step.finish()
    assert not (run_folder / "steps" / "01_clean_figures.json").exists()


def test_a_step_cannot_save_what_it_did_not_declare(run_folder):
    step = pipeline.start("01_clean_figures", fresh(edition="latest"))
    with pytest.raises(ValueError, match="does not promise tables/surprise.csv"):
        step.save_table("surprise", pd.DataFrame())


def test_starting_a_step_again_takes_back_its_sentinel(run_folder):
    sentinel = run_folder / "steps" / "01_clean_figures.json"
    sentinel.parent.mkdir(parents=True)
    sentinel.write_text("{}")
    pipeline.start("01_clean_figures", fresh(edition="latest"))
    assert not sentinel.exists()


def test_by_hand_a_step_takes_published_inputs_where_its_own_are_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.delenv(paths.RUN_VARIABLE, raising=False)
    monkeypatch.setattr(paths, "runs", lambda: tmp_path)
    step = pipeline.start("03_fit_trends", fresh(edition="latest", start_year=2012))
    assert step.edition == 2025
    assert "market.overseas.level.2024" in step.quantities()


def test_tables_made_for_another_edition_are_refused(tmp_path, monkeypatch):
    monkeypatch.delenv(paths.RUN_VARIABLE, raising=False)
    monkeypatch.setattr(paths, "runs", lambda: tmp_path)
    with pytest.raises(InputError, match="edition 2024 is asked for, but the tables of this run were made for .* 2025"):
        pipeline.start("02_describe_market", fresh(edition=2024))


def test_every_step_reads_only_from_steps_before_it():
    names = list(pipeline.STEPS)
    for name, spec in pipeline.STEPS.items():
        assert set(spec.needs) <= set(names[: names.index(name)])
    promised = [file for spec in pipeline.STEPS.values() for file in spec.promises]
    assert len(promised) == len(set(promised))


# --- what an attack found ---------------------------------------------------------------------------
@pytest.mark.parametrize("inside", ["data/raw/aja", "data/processed/published"])
def test_a_run_never_works_inside_raw_or_published(monkeypatch, inside):
    monkeypatch.setenv(paths.RUN_VARIABLE, str(paths.home() / inside))
    with pytest.raises(InputError, match="Name a folder of its own"):
        pipeline.start("01_clean_figures", fresh(edition="latest"))


def test_a_run_folder_that_is_a_file_is_refused_in_words(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(paths.RUN_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be used"):
        pipeline.start("01_clean_figures", fresh(edition="latest"))


def test_an_input_whose_maker_did_not_finish_does_not_count(run_folder):
    (run_folder / "tables").mkdir(parents=True)
    (run_folder / "tables" / "market.csv").write_text((paths.published() / "tables" / "market.csv").read_text())
    with pytest.raises(InputError, match="Run 01_clean_figures first"):
        pipeline.start("02_describe_market", fresh(edition="latest"))


def test_a_figure_that_is_no_svg_is_named(run_folder):
    step = pipeline.Step(STEPS["06_narrative"], parameters.Parameters(), run_folder, may_borrow=False)
    (run_folder / "steps").mkdir(parents=True)
    for name in (name for need in step.spec.needs for name in STEPS[need].figures):
        (run_folder / "figures").mkdir(exist_ok=True)
        (run_folder / f"figures/{name}.svg").write_bytes((paths.published() / f"figures/{name}.svg").read_bytes())
    for need in step.spec.needs:
        (run_folder / f"steps/{need}.json").write_text("{}")
    assert all(words for _, words in step.figures().values())
    (run_folder / "figures/market_levels.svg").write_text("<svg>\n<a b=<>")
    refused = r"^06_narrative, input figures/market_levels\.svg: is no SVG that can be read \(.*line 2.*\)\. Run the"
    with pytest.raises(InputError, match=refused):
        step.figures()


def test_steps_that_share_a_parameter_must_agree_on_it(tmp_path, monkeypatch):
    """03 was run by hand from 2012; the published 04 behind 05 was not."""
    monkeypatch.delenv(paths.RUN_VARIABLE, raising=False)
    monkeypatch.setattr(paths, "runs", lambda: tmp_path)
    sentinel = tmp_path / "interactive" / "steps" / "03_fit_trends.json"
    sentinel.parent.mkdir(parents=True)
    sentinel.write_text('{"parameters": {"edition": "latest", "start_year": 2012}}')
    with pytest.raises(InputError, match="parameter start_year: the steps behind it differ: 03_fit_trends with 2012"):
        pipeline.start("05_check_claims", fresh(edition="latest"))
