"""The six steps, declared once: what each may be told, what it needs, what it promises to leave.

Nothing heavy is imported here, so that a command can tell at once whether anything has to be run.
"""

from dataclasses import dataclass

# The tidy tables of notebook 1 that have a schema in clean.py.
CLEANED = (
    "market_editions",
    "studio_editions",
    "market_printed",
    "categories",
    "regions",
    "content_exports",
    "targets",
    "exchange_rates",
    "spot_rates",
    "consumer_prices",
    "market_cap",
    "annual_series",
    "series_levels",
    "method_notes",
    "sources",
)


@dataclass(frozen=True)
class StepSpec:
    """A step: its notebook's name, its parameters, the steps it reads from, the files it promises.

    `reads` names what it reads beside the files of other steps, from the top folder of the study.
    `shows_commits` where its files name the commits of the code behind them.
    """

    name: str
    question: str
    parameters: tuple[str, ...]
    needs: tuple[str, ...]
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    has_quantities: bool = True
    reads: tuple[str, ...] = ()
    shows_commits: bool = False

    @property
    def promises(self) -> tuple[str, ...]:
        """Every file that the step must leave in the run folder."""
        return (
            *(f"tables/{table}.csv" for table in self.tables),
            *(f"figures/{figure}.{kind}" for figure in self.figures for kind in ("svg", "csv")),
            *((f"quantities/{self.name}.json",) if self.has_quantities else ()),
            *self.files,
        )

    @property
    def leaves(self) -> tuple[str, ...]:
        """Every file that it leaves there: what it promises, its executed notebook, and its sentinel."""
        return (*self.promises, f"notebooks/{self.name}.ipynb", f"steps/{self.name}.json")


STEPS = {
    spec.name: spec
    for spec in (
        StepSpec(
            "01_clean_figures",
            "Which figures are there, and do they agree with one another?",
            ("edition",),
            (),
            tables=(*CLEANED, "breaks", "raw_files", "checks", "market", "revisions"),
            reads=("data/raw",),
        ),
        StepSpec(
            "02_describe_market",
            "What did the market do, in yen, in dollars and after prices?",
            ("edition", "language"),
            ("01_clean_figures",),
            figures=(
                *("market_levels", "overseas_growth", "contributions", "three_measures", "growth_split"),
                *("revisions", "studio_gap", "categories", "content_exports", "regions", "market_cap"),
            ),
            has_quantities=False,
        ),
        StepSpec(
            "03_fit_trends",
            "How fast does overseas revenue grow, and how sure can one be?",
            ("edition", "series", "basis", "start_year", "language"),
            ("01_clean_figures",),
            tables=(
                *("trends", "growth_by_basis", "backtest_forecasts", "backtest", "conformal_intervals"),
                *("specifications", "conclusions", "forecast_replay", "forecast_scores"),
            ),
            figures=(
                *("trend_lines", "growth_intervals", "residuals", "backtest", "forecast_bands"),
                "specification_curve",
            ),
            reads=("data/processed/published/forecasts.csv",),
        ),
        StepSpec(
            "04_project_targets",
            "Where do the models lead, and what does the target ask?",
            ("edition", "series", "basis", "start_year", "horizon_year", "language"),
            ("01_clean_figures",),
            tables=("projections", "explored", "target_chances"),
            figures=("projections", "target_paths", "target_chances"),
        ),
        StepSpec(
            "05_check_claims",
            "Which of the articles' claims are true?",
            ("edition", "articles", "language"),
            ("01_clean_figures", "03_fit_trends", "04_project_targets"),
            tables=("claims", "dollar_rates"),
            figures=("verdicts",),
            files=("verdicts.csv",),
            reads=("data/raw",),
        ),
        StepSpec(
            "06_narrative",
            "What does all this say, in plain words?",
            ("edition", "articles", "language"),
            ("01_clean_figures", "02_describe_market", "03_fit_trends", "04_project_targets", "05_check_claims"),
            files=(
                "quantities.json",
                "narrative.md",
                "finding.md",
                "limits.md",
                "report.html",
                "trace.html",
                "codebook.html",
            ),
            has_quantities=False,
            reads=("data/raw", "data/processed/published/canary.csv"),
            shows_commits=True,
        ),
        # A further step stands here, behind all that it needs.
    )
}
