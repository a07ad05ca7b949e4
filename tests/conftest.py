"""Shared by all tests: the real tables and quantities, made once, and copies of the raw data to spoil."""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from anime_growth import backtest, clean, describe, languages, paths, projections, series, targets, trends
from anime_growth.quantities import Quantities


@pytest.fixture(scope="session")
def tables() -> dict[str, pd.DataFrame]:
    """The real clean tables. Shared by every test: copy a table before changing it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(paths.HOME_VARIABLE, raising=False)
        return clean.clean_all()


@pytest.fixture(scope="session")
def market(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The broad market in the 2025 edition."""
    return clean.market(tables, 2025)


@pytest.fixture(scope="session")
def described(tables: dict[str, pd.DataFrame], market: pd.DataFrame) -> Quantities:
    """All quantities of notebook 1 on the real data, 2025 edition."""
    return describe.describe({**tables, "market": market})


@pytest.fixture(scope="session")
def subject(described: Quantities) -> series.Subject:
    """Overseas revenue of the 2025 edition in yen, 2002 to 2024."""
    return series.choose(described, "market.overseas", "yen", 2002)


@pytest.fixture(scope="session")
def levels(subject: series.Subject) -> pd.Series:
    """Its levels: what the models see, JPY 100m by year."""
    return subject.levels


@pytest.fixture(scope="session")
def fits(levels: pd.Series) -> dict[str, trends.Fit]:
    """Every model fitted to the real series."""
    fitted, refused = trends.fit_all(levels)
    assert not refused
    return fitted


@pytest.fixture(scope="session")
def trend_table(fits: dict[str, trends.Fit], subject: series.Subject) -> pd.DataFrame:
    """The table of the fits with their checks."""
    return trends.trend_table(fits, {}, subject)


@pytest.fixture(scope="session")
def past_forecasts(levels: pd.Series) -> pd.DataFrame:
    """What every model would have forecast of the real series."""
    return backtest.all_forecasts(levels)


@pytest.fixture(scope="session")
def every_quantity(
    described: Quantities,
    subject: series.Subject,
    fits: dict[str, trends.Fit],
    trend_table: pd.DataFrame,
    past_forecasts: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
) -> Quantities:
    """All quantities of notebooks 2 to 4 on the real data, 2025 edition, horizon 2033."""
    subjects = series.in_every_basis(described, "market.overseas", 2002)
    trend = trends.trend_quantities(fits, trend_table, subject, described)
    for basis in ("usd", "real"):
        found, refused = trends.fit_all(subjects[basis].levels)
        table = trends.trend_table(found, refused, subjects[basis], with_checks=False)
        trend = trend.joined(trends.trend_quantities(found, table, subjects[basis], described))
    scores, bands = backtest.scores(past_forecasts), backtest.conformal(past_forecasts, fits)
    projected = projections.project(fits, subject, 2033)
    dollars, _ = trends.fit_all(subjects["usd"].levels)
    return described.joined(
        trend,
        backtest.backtest_quantities(scores, bands, subject, described.joined(trend)),
        describe.describe_estimate(described, tables["breaks"]),
        projections.projection_quantities(projected, fits, subject, described),
        targets.chance_quantities(targets.chances(fits, dollars, described), subject, subjects["usd"], described),
        targets.rate_quantities(described, list(subject.levels.index)),
    )


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the study's raw data that the package takes for the real one; the copy's top folder."""
    monkeypatch.delenv(paths.HOME_VARIABLE, raising=False)
    shutil.copytree(paths.raw(), tmp_path / "data" / "raw")
    monkeypatch.setenv(paths.HOME_VARIABLE, str(tmp_path))
    return tmp_path


@dataclass(frozen=True)
class Edit:
    """Changes to the copy of data/raw; `rehash` keeps the package's sha256 and size in step.

    Without `rehash` the loader stops at the hash, with it the checks of rows are reached.
    """

    study: Path

    def __call__(self, table_file: str, change: Callable[[bytes], bytes], rehash: bool = True) -> None:
        """Replace the content of a raw CSV by `change(content)`."""
        path = self.path(table_file)
        content = change(path.read_bytes())
        path.write_bytes(content)
        if rehash:
            described = {"bytes": len(content), "hash": "sha256:" + hashlib.sha256(content).hexdigest()}
            self.package(table_file, lambda package: self.resource(package, table_file).update(described))

    def row(self, table_file: str, row: dict[str, str], change: dict[str, str] | str) -> int:
        """Change cells of the one row that `row` describes, or "delete" it, or "repeat" it at the end.

        Returns the line an error message should name (the header is line 1): the changed or the
        repeated row, or the row before the deleted one.
        """
        header, *rows = csv.reader(io.StringIO(self.path(table_file).read_text(encoding="utf-8")))
        wanted = {header.index(column): text for column, text in row.items()}
        found = [at for at, cells in enumerate(rows) if all(cells[i] == text for i, text in wanted.items())]
        assert len(found) == 1, f"{row} describes {len(found)} rows of {table_file}"
        line = found[0] + 2
        if change == "delete":
            del rows[found[0]]
            line -= 1
        elif change == "repeat":
            rows.append(list(rows[found[0]]))
            line = len(rows) + 1
        else:
            assert isinstance(change, dict)
            for column, text in change.items():
                rows[found[0]][header.index(column)] = text
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
        self(table_file, lambda _: out.getvalue().encode())
        return line

    def package(self, table_file: str, change: Callable[[dict[str, Any]], object]) -> Path:
        """Change the parsed datapackage.json next to a raw CSV in place."""
        path = self.path(table_file).parent / "datapackage.json"
        package = json.loads(path.read_text(encoding="utf-8"))
        change(package)
        path.write_text(json.dumps(package), encoding="utf-8")
        return path

    def path(self, table_file: str) -> Path:
        """Where the copy keeps a raw CSV."""
        (path,) = (self.study / "data" / "raw").glob(f"**/{table_file}")
        return path

    @staticmethod
    def resource(package: dict[str, Any], table_file: str) -> dict[str, Any]:
        """What a parsed package says about one file."""
        return next(item for item in package["resources"] if item["path"] == Path(table_file).name)


@pytest.fixture
def edit(study: Path) -> Edit:
    """Change a raw CSV of the copy: `edit(file, bytes -> bytes)`, `edit.row`, `edit.package`."""
    return Edit(study)


@pytest.fixture
def without_japanese(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that are told in Japanese from now on and have no translation, in the order in which they come."""
    missed: list[str] = []
    known = languages.translation

    def listening(english: str) -> str | None:
        told = known(english)
        if english and not told and languages.spoken() == "ja":
            missed.append(english)
        return told

    monkeypatch.setattr(languages, "translation", listening)  # that of `say`; what is told again may be no text of ours
    return missed
