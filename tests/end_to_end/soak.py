"""The soak: every fault once and others at random, until so many runs were faulted; then the table of outcomes.

`make soak`, or `python -m tests.end_to_end.soak --faults 20 --seed 1a2b --keep-readme`. It ends at the first
promise that is broken, and says how to repeat it.
"""

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.end_to_end.fault_bench import TOP, Bench
from tests.end_to_end.faults import FAULTS
from tests.end_to_end.promise import Fault, Outcome, attempt

HEADER = (
    *("what happened", "times", "exit codes", "earlier results as they were"),
    *("kept for reading", "left unfinished", "of these ended and named by the next run"),
)


def main() -> None:
    """Read the options, soak, and show what came of it."""
    options = argparse.ArgumentParser(prog="make soak", description=__doc__.split("\n")[0])
    options.add_argument("--faults", type=int, default=200, help="how many runs are faulted")
    options.add_argument("--seed", default=f"{time.time_ns():x}"[-8:], help="decides on faults and moments")
    options.add_argument("--keep-readme", action="store_true", help="only print the table")
    given = options.parse_args()
    table = as_table(soak(given.faults, given.seed), given.seed)
    print(table)
    if not given.keep_readme:
        readme = TOP / "README.md"
        readme.write_text(filled_in(readme.read_text(encoding="utf-8"), table), encoding="utf-8")


def drawn(number: int, seed: str) -> list[Fault]:
    """So many faults: each that this machine can do once, the others at random, in random order."""
    rng = random.Random(seed)
    able = [one for one in FAULTS if one.needs()]
    rng.shuffle(able)
    found = [*able, *rng.choices(able, k=number)][:number]
    rng.shuffle(found)
    return found


def soak(number: int, seed: str) -> list[Outcome]:
    """Fault after fault in one study; ends the program at the first promise that is broken."""
    print(f"seed {seed}: repeat with `make soak` or `python -m tests.end_to_end.soak --seed {seed}`")
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    bench = Bench(folder, random.Random(seed))
    outcomes: list[Outcome] = []
    for at, fault in enumerate(drawn(number, seed), 1):
        bench.rng = random.Random(f"{seed}/{at}")
        begun = time.monotonic()
        try:
            outcome = attempt(bench, fault)
        except AssertionError as problem:
            sys.exit(f"{at}: {fault.name} ({bench.moment}): {problem}\nSeed {seed}; look into {folder}.")
        outcomes.append(outcome)
        told = f"{fault.kind}: {fault.name}; {bench.moment}".rstrip("; ")
        print(f"[{at:3}/{number}] {told}: exit code {outcome.code}, {time.monotonic() - begun:.1f} s", flush=True)
    attempt(bench, Fault("nothing", "none", Bench.start, (0,)))
    for outcome in outcomes:
        outcome.cleaned = bool(outcome.owed) and outcome.owed not in bench.owed
    return outcomes


def as_table(outcomes: list[Outcome], seed: str) -> str:
    """What came of each kind of fault, as Markdown."""
    rows = []
    for kind in dict.fromkeys(one.kind for one in FAULTS):
        of_kind = [one for one in outcomes if one.fault.kind == kind]
        if of_kind:
            codes = ", ".join(str(code).replace("-", "−") for code in sorted({one.code for one in of_kind}))
            left = [one for one in of_kind if one.owed]
            counts = (sum(bool(one.kept) for one in of_kind), len(left), sum(one.cleaned for one in left))
            rows.append((kind, len(of_kind), codes, f"{len(of_kind)} of {len(of_kind)}", *counts))
    told = f"{len(outcomes)} faults, seed `{seed}`; a negative exit code is the signal that killed the command."
    return "\n".join([told, "", _row(HEADER), _row(["---"] * len(HEADER)), *map(_row, rows)])


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def filled_in(readme: str, table: str) -> str:
    """The text with `table` between its marks."""
    found = re.subn(
        r"(<!-- soak -->).*?(<!-- /soak -->)", lambda marks: f"{marks[1]}\n{table}\n{marks[2]}", readme, flags=re.S
    )
    if not found[1]:
        sys.exit("README.md has no <!-- soak --> and <!-- /soak -->: put them back.")
    return found[0]


if __name__ == "__main__":
    main()
