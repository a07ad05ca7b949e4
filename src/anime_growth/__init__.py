"""How fast Japan's anime business grows overseas, how sure one can be, and which claims hold.

Figures flow one way: raw -> sources -> clean -> checks -> tables -> quantities, trends and
projections -> figures, claims, narrative -> report. `tests/unit/test_architecture.py` holds it.
"""

__version__ = "0.1.0"
