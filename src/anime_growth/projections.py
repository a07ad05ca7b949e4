"""What the trend models say about the years ahead."""

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from anime_growth import units
from anime_growth.arithmetic import cagr_pct
from anime_growth.quantities import MODEL_WORDS, Quantities

if TYPE_CHECKING:  # what only speaks of fits need not load the libraries that make them
    from anime_growth.series import Subject
    from anime_growth.specifications import Declared
    from anime_growth.trends import Fit

# Names as they stand in quantity keys.
PROBABILITIES = {"p2_5": 0.025, "p10": 0.10, "p25": 0.25, "p50": 0.50, "p75": 0.75, "p90": 0.90, "p97_5": 0.975}
COLUMNS = ["series", "basis", "start_year", "last_year", "model", "year", "unit", *PROBABILITIES]


def project(fits: dict[str, "Fit"], subject: "Subject", last_year: int) -> pd.DataFrame:
    """Forecast quantiles: one row a model and year, columns as in PROBABILITIES, in the unit named beside.

    Models work on logs; a quantile of the level is exp of the quantile of its log, so p50 is a median.
    """
    parts = []
    for model, fit in fits.items():
        table = fit.quantiles(last_year, list(PROBABILITIES.values()))
        table.columns = pd.Index(PROBABILITIES)
        parts.append(
            table.reset_index().assign(
                series=subject.name, basis=subject.basis, start_year=fit.years[0], last_year=fit.years[-1], model=model,
                unit=subject.unit.name,
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def explore(declared: "Declared", known: Quantities, name: str, last_year: int) -> pd.DataFrame:
    """Forecasts of series `name` for each start, basis and model of the declared grid; rows as in `project`.

    Of the grid those specifications count that take the figures as the newest edition prints them, all of
    them. A sample that a model cannot be fitted to, and a start that leaves too few years, is left out.
    """
    from anime_growth import trends
    from anime_growth.series import in_every_basis

    parts, samples = [], set()
    for start, models in sorted(declared.as_printed().items()):
        for basis, subject in in_every_basis(known, name, start).items():
            sample = (basis, int(subject.levels.index[0])) if len(subject.levels) else None
            if sample is None or sample in samples:  # a series may begin later than several starts
                continue
            samples.add(sample)
            fits = {}
            for model in models.get(basis, ()):
                with suppress(trends.CannotFit):
                    fits[model] = trends.fit(model, subject.levels)
            parts.append(project(fits, subject, last_year))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def projection_quantities(
    projected: pd.DataFrame, fits: dict[str, "Fit"], subject: "Subject", known: Quantities
) -> Quantities:
    """Every quantile of every year as a named number, and the growth a year each median implies."""
    q = Quantities(known.edition, known.values())
    inputs = [subject.sample(q, "projection")]
    for row in projected.itertuples():
        for name, probability in PROBABILITIES.items():
            q.record(
                f"projection.{subject.slug}.{row.model}.{name}.{row.year}",
                getattr(row, name),
                subject.unit,
                f"{subject.words} in {row.year}, {100 * probability:g} % quantile, {MODEL_WORDS[row.model]}",
                f"anime_growth.trends.{row.model}",
                inputs,
            )
    for model, fit in fits.items():
        last = fit.years[-1]
        ahead = projected.loc[projected["model"] == model, "year"]
        if len(ahead):
            for end in sorted({last + 1, int(ahead.max())}):
                label = f"growth a year from {last} to {end} that the median implies, {MODEL_WORDS[model]}"
                pair = [f"projection.{subject.slug}.{model}.p50.{end}", subject.keys[last]]
                key = f"projection.{subject.slug}.{model}.growth.{last}-{end}"
                unit = units.PERCENT if end == last + 1 else units.PERCENT_A_YEAR
                q.compute(key, partial(cagr_pct, years=end - last), pair, unit, label)
    return Quantities(known.edition, [item for key, item in q.items() if key not in known])
