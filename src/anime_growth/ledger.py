"""The ledger of forecasts: what was published when, kept, and scored once the outcome is printed.

data/processed/published/forecasts.csv is only ever added to. Losses are pinball losses on the log scale,
times 100, averaged over the quantiles: scale-free, so that years and series can be compared.

Assumes of the replay: overseas revenue was hardly restated (tables/revisions.csv says how much), so one
edition's levels, cut off at the newest year that each earlier report printed, stand for what that report
showed; growth across editions is never computed.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from anime_growth import paths, units
from anime_growth.errors import InputError
from anime_growth.projections import PROBABILITIES
from anime_growth.quantities import MODEL_WORDS, Quantities
from anime_growth.series import MIN_YEARS, Subject

NAMES = tuple(PROBABILITIES)
# What identifies a forecast, whoever makes it again.
IDENTITY = ["edition", "series", "basis", "start_year", "model", "target_year"]
COLUMNS = ["made_on", *IDENTITY, "last_year", "unit", *NAMES]
YEARS = ("start_year", "target_year", "last_year")


def path() -> Path:
    """Where the ledger lies."""
    return paths.published() / "forecasts.csv"


def read(file: Path | None = None) -> pd.DataFrame:
    """The ledger, empty where nothing was published yet. Raises InputError for a damaged one."""
    file = file or path()
    if not file.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        ledger = pd.read_csv(file, dtype=str)
    except (ValueError, OSError) as problem:
        raise InputError(paths.shown(file), "cannot be read as CSV", _restore(file)) from problem
    if list(ledger.columns) != COLUMNS:
        raise InputError(paths.shown(file), "has other columns than a ledger of forecasts", _restore(file))
    if ledger.isna().any(axis=None):
        raise InputError(paths.shown(file), "has an empty cell", _restore(file))
    try:
        ledger = ledger.astype({**dict.fromkeys(YEARS, int), **dict.fromkeys(NAMES, float)})
    except ValueError as problem:
        raise InputError(paths.shown(file), "has text where a number belongs", _restore(file)) from problem
    quantiles = ledger[list(NAMES)].to_numpy()
    if not (np.isfinite(quantiles) & (quantiles > 0)).all() or (np.diff(quantiles, axis=1) < 0).any():
        raise InputError(paths.shown(file), "has quantiles that are no levels or out of order", _restore(file))
    return ledger


def _restore(file: Path) -> str:
    return f"Restore it with `git checkout -- {paths.shown(file)}`"


def entries(projections: pd.DataFrame, made_on: str, edition: str) -> pd.DataFrame:
    """Ledger rows of the projections of one run (table `projections`), made on a date."""
    if projections.empty:
        return pd.DataFrame(columns=COLUMNS)
    made = projections.rename(columns={"year": "target_year"}).assign(made_on=made_on, edition=str(edition))
    return made[COLUMNS].reset_index(drop=True)


def appended(ledger: pd.DataFrame, fresh: pd.DataFrame) -> pd.DataFrame:
    """`ledger` with those of `fresh` that are not what it last says of the same forecast.

    Publishing the same numbers again adds nothing; nothing that stands is changed.
    """
    if ledger.empty or fresh.empty:
        return fresh if ledger.empty else ledger
    last = ledger.drop_duplicates(IDENTITY, keep="last").set_index(IDENTITY)[list(NAMES)].astype(float)
    told = last.reindex(pd.MultiIndex.from_frame(fresh[IDENTITY])).to_numpy()
    same = np.isclose(told, fresh[list(NAMES)].to_numpy(dtype=float), rtol=1e-6, atol=0).all(axis=1)
    return pd.concat([ledger, fresh[~same]], ignore_index=True) if not same.all() else ledger


def pinball(level: float, quantiles: Mapping[str, float]) -> float:
    """Mean pinball loss of the quantiles against the outcome [log points x100].

    >>> round(pinball(2.718281828459045, {"p50": 1.0}), 6)  # missed by one log unit, weighed by a half
    50.0
    """
    losses = []
    for name, quantile in quantiles.items():
        miss = math.log(level / quantile) / units.POINTS.size
        losses.append(max(PROBABILITIES[name] * miss, (PROBABILITIES[name] - 1) * miss))
    return sum(losses) / len(losses)


def outcomes(ledger: pd.DataFrame, levels: Mapping[tuple[str, str], pd.Series]) -> pd.DataFrame:
    """Forecasts whose outcome is printed, each with level, horizon, pinball_log_points, hit80 and hit95.

    `levels` maps (series, basis) to levels by year. A year counts as outcome only for forecasts that
    were made before it was printed.
    """
    rows = []
    for row in ledger.to_dict("records"):
        known = levels.get((row["series"], row["basis"]))
        if known is None or row["target_year"] not in known.index or row["last_year"] >= row["target_year"]:
            continue
        level = float(known[row["target_year"]])
        rows.append(
            {
                **{name: row[name] for name in ("made_on", *IDENTITY)},
                "horizon": row["target_year"] - row["last_year"],
                "level": level,
                "p50": row["p50"],
                "pinball_log_points": pinball(level, {name: row[name] for name in NAMES}),
                "hit80": row["p10"] <= level <= row["p90"],
                "hit95": row["p2_5"] <= level <= row["p97_5"],
            }
        )
    columns = ["made_on", *IDENTITY, "horizon", "level", "p50", "pinball_log_points", "hit80", "hit95"]
    return pd.DataFrame(rows, columns=columns)


def score(known: pd.DataFrame) -> pd.DataFrame:
    """Scores of each model over forecasts with an outcome: how many, mean pinball loss, hits in 80 and 95 % [%]."""
    grouped = known.groupby("model", sort=False)
    table = grouped.agg(
        forecasts=("level", "size"),
        editions=("edition", "nunique"),
        pinball_log_points=("pinball_log_points", "mean"),
        cover80_pct=("hit80", lambda hits: hits.mean() * 100),
        cover95_pct=("hit95", lambda hits: hits.mean() * 100),
    )
    return table.reset_index()


def all_scores(published: pd.DataFrame, replayed: pd.DataFrame) -> pd.DataFrame:
    """Scores of published and of replayed forecasts in one table, told apart by `ledger`."""
    kinds = {"published": published, "replayed": replayed}
    return pd.concat([score(known).assign(ledger=kind) for kind, known in kinds.items()], ignore_index=True)


def ledger_quantities(scores: pd.DataFrame, subject: Subject, known: Quantities) -> Quantities:
    """Mean pinball losses as named numbers, `ledger.<slug>.<model>.pinball.<published or replayed>`."""
    q = Quantities(known.edition, known.values())
    for row in scores.itertuples():
        label = (
            f"mean pinball loss of {row.forecasts} {row.ledger} forecasts, {MODEL_WORDS[row.model]}, {subject.words}"
        )
        key, method = (
            f"ledger.{subject.slug}.{row.model}.pinball.{row.ledger}",
            f"anime_growth.ledger.score: {row.model}",
        )
        q.record(key, row.pinball_log_points, units.POINTS, label, method, [subject.sample(q, "trend")])
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])


def replay(subject: Subject, vintages: Mapping[int, int]) -> pd.DataFrame:
    """The ledger as if a run had been published at each earlier report (edition -> newest year).

    Each forecasts every year that the series has by now. Reports with fewer than MIN_YEARS years make none.
    """
    levels = subject.levels
    from anime_growth import trends  # only here, where something is fitted

    parts = []
    for edition, newest in vintages.items():
        window = levels[levels.index <= newest]
        ahead = int(levels.index[-1]) if len(levels) else newest
        if newest >= ahead or len(window) < MIN_YEARS:
            continue
        fits, _ = trends.fit_all(window)
        for model, fit in fits.items():
            table = fit.quantiles(ahead, list(PROBABILITIES.values()))
            table.columns = pd.Index(NAMES)
            parts.append(
                table.rename_axis("target_year").reset_index().assign(
                    made_on=f"replay of {edition}", edition=str(edition), series=subject.name, basis=subject.basis,
                    model=model, start_year=int(levels.index[0]), last_year=newest, unit=subject.unit.name,
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
