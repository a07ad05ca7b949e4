"""Tests. The package comes first: it sets the number of threads, which numpy reads once."""

import anime_growth  # noqa: F401
