"""The benchmarks still run; how fast anything is, no test asks."""

import subprocess
import sys

import pytest

from tests.end_to_end.conftest import TOP


@pytest.mark.xdist_group("sweep")
def test_the_benchmark_of_scaling_prints_its_tables():
    command = [sys.executable, TOP / "tests/benchmarks/bench_scaling.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    tables = [part.splitlines() for part in done.stdout.split("**\n\n")[1:]]
    assert [table[0].split(" | ")[0] for table in tables] == ["| series", "| rows", "| grid", "| items"]
    for table in tables:
        rows = [line for line in table if line.startswith("|")]
        assert len(rows) > 2 and len({line.count("|") for line in rows}) == 1
