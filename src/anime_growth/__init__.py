"""How fast Japan's anime business grows overseas, how sure one can be, and which claims hold.

Figures flow one way: raw -> sources -> clean -> checks -> tables -> quantities, trends and
projections -> figures, claims, narrative -> report. `tests/unit/test_architecture.py` holds it.
"""

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anime_growth.api import fit, load_quantities, load_tables, plot

# The matrices here are tiny: threads of the linear algebra only wait for one another (twice the time
# on two cores). It must be said before numpy is imported; a reader's own setting stands.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A service may have no home folder to write to: what matplotlib says of its caches would stand in the notebooks.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

__version__ = "0.1.0"
# What others import; see api.py.
__all__ = ["fit", "load_quantities", "load_tables", "plot"]


def __getattr__(name: str) -> Any:
    """Load `api` when one of its names is first used, so that importing the package loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # By name, since what is written as an import counts as code that every step can reach (records.reached).
    return getattr(import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
