"""One item of a sweep: its numbers are those that the chain publishes for the same parameters."""

import sys

import pandas as pd
import pytest

from anime_growth import depths, describe, grid, parameters, paths, trends
from anime_growth.errors import InputError, StepFailed
from anime_growth.grid import Depth
from anime_growth.quantities import Quantities


def item(folder=None, **values):
    whole = {**parameters.Parameters().model_dump(), "edition": 2025, **values}
    return depths.Item(values, whole, folder)


@pytest.fixture(scope="module")
def published():
    read = {name: pd.read_csv(paths.published() / "tables" / f"{name}.csv") for name in ("trends", "projections")}
    return read["trends"].set_index("model"), read["projections"].set_index(["model", "year"])


@pytest.mark.parametrize("model", trends.MODELS)
@pytest.mark.parametrize("horizon", [2025, 2033])
def test_a_specification_gives_what_is_published_for_its_parameters(published, model, horizon):
    (row,) = depths.specification(item(model=model, horizon_year=horizon))
    trend, projection = published[0].loc[model], published[1].loc[(model, horizon)]
    for name in ("first_year", "last_year", "growth_pct_a_year", "growth_lo95_pct", "growth_hi95_pct"):
        if pd.isna(trend[name]):
            assert row[name] is None
        else:
            assert row[name] == pytest.approx(trend[name], rel=1e-6), name
    for name in ("p2_5", "p10", "p25", "p50", "p75", "p90", "p97_5"):
        assert row[name] == pytest.approx(projection[name], rel=1e-6), name
    assert row["unit"] == projection["unit"] and row["years"] == 23
    assert set(row) <= set(depths.COLUMNS[Depth.model])


def test_a_specification_in_dollars_gives_what_is_published_beside_it():
    table = pd.read_csv(paths.published() / "tables/growth_by_basis.csv").set_index(["basis", "model"])
    (row,) = depths.specification(item(model="drift", basis="usd"))
    assert row["growth_pct_a_year"] == pytest.approx(table.loc[("usd", "drift"), "growth_pct_a_year"], rel=1e-6)
    assert row["unit"] == "bn USD"


def test_what_cannot_go_together_is_said():
    with pytest.raises(InputError, match="parameter start_year: 2022 leaves 3 of 23 years"):
        depths.specification(item(model="drift", start_year=2022))
    with pytest.raises(trends.CannotFit, match="the series has 2 years"):
        depths.specification(item(model="drift", edition=2022))


def test_a_horizon_that_lies_behind_has_no_quantiles():
    (row,) = depths.specification(item(model="drift", horizon_year=2024))
    assert "p50" not in row and row["growth_pct_a_year"] > 0


@pytest.fixture
def chains(tmp_path):
    """A run that is there already, with the published numbers; the command that would make another is a stand-in."""
    folder = tmp_path / "runs" / "00000003"

    def finish():
        run = folder / "20260101T000000Z"
        run.mkdir(parents=True)
        for name in ("quantities.json", "run.json"):
            (run / name).write_bytes((paths.published() / name).read_bytes())
        (folder / "latest").symlink_to(run.name)

    return folder, finish


def test_a_run_that_a_killed_sweep_left_counts_and_gives_its_numbers(chains, monkeypatch):
    folder, finish = chains
    finish()
    monkeypatch.setattr(sys, "executable", "/nowhere")
    rows = {row["model"]: row for row in depths.chain(item(folder))}
    assert list(rows) == list(trends.MODELS)
    assert all(set(row) <= set(depths.COLUMNS[Depth.notebooks]) for row in rows.values())
    q = Quantities.read(paths.published() / "quantities.json")
    drift = rows["drift"]
    assert drift["growth_pct_a_year"] == q["trend.overseas.drift.growth"].value
    assert drift["p90"] == q["projection.overseas.drift.p90.2033"].value and drift["unit"] == "100m JPY"
    assert drift["chance_content_2033_pct"] == q["target.content_2033.chance.drift"].value
    assert drift["run_id"] == "20260101T000000Z" and drift["seconds"] > 0
    assert set(depths.CHANCES) == {f"chance_{name}_pct" for name in describe.CONTENT_TARGETS}


def test_both_depths_agree_where_they_have_the_same_columns(chains):
    folder, finish = chains
    finish()
    for whole in depths.chain(item(folder)):
        (quick,) = depths.specification(item(model=whole["model"]))
        both = [name for name in whole if name in quick]
        assert len(both) >= 12 - 2 * (whole["model"] == "naive")
        for name in both:
            if isinstance(whole[name], float):
                assert whole[name] == pytest.approx(quick[name], rel=1e-6), name
            else:
                assert whole[name] == quick[name], name


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo one >&2; echo 'anime-growth: 03 broke. Read it.' >&2; exit 1", "03 broke. Read it."),
        ("exit 7", "its process ended with exit code 7"),
    ],
)
def test_a_chain_that_fails_says_so_in_its_last_line(tmp_path, monkeypatch, script, said):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(StepFailed) as problem:
        depths.chain(item(tmp_path / "runs"))
    assert str(problem.value) == said


def test_a_chain_is_told_what_its_item_sets_and_works_in_its_own_folder(chains, monkeypatch, tmp_path):
    folder, _ = chains
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$@" "$ANIME_GROWTH_RUNS" "[$ANIME_GROWTH_RUN]" > {tmp_path}/asked\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv(paths.RUN_VARIABLE, "elsewhere")
    with pytest.raises(StepFailed):
        depths.chain(item(folder, start_year=2012, basis="usd"))
    asked = (tmp_path / "asked").read_text().strip()
    assert asked == f"-m anime_growth.cli run --jobs 1 --wait 1200 -p start_year=2012 -p basis=usd {folder} []"


def test_the_longest_horizon_is_that_of_the_parameters():
    assert depths.LAST_HORIZON == 2060
    assert set(depths.WORK) == set(grid.NAMES) == set(depths.COLUMNS) == set(Depth)
