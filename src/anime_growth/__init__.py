"""How fast Japan's anime business grows overseas, how sure one can be, and which claims hold.

Figures flow one way: raw -> sources -> clean -> checks -> tables -> quantities, trends and
projections -> figures, claims, narrative -> report. `tests/unit/test_architecture.py` holds it.
"""

import logging
import os

# The matrices here are tiny: threads of the linear algebra only wait for one another (twice the time
# on two cores). It must be said before numpy is imported; a reader's own setting stands.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A service may have no home folder to write to: what matplotlib says of its caches would stand in the notebooks.
logging.getLogger("matplotlib").setLevel(logging.ERROR)

__version__ = "0.1.0"
