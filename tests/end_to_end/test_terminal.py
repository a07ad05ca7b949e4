"""What a terminal gets and a pipe does not: a bar, the time left, colours."""

import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest

from anime_growth import paths
from tests.end_to_end.conftest import BIN, shell
from tests.end_to_end.light_chain import lighten

COMMAND = str(BIN / "anime-growth")
# Two steps end at once; the record of the published run tells what they take.
DRAWN = """
from anime_growth import progress
from anime_growth.steps import STEPS

with progress.of_steps(2) as (on_step, tick):
    on_step(["01_clean_figures"], [])
    tick()
    on_step(["02_describe_market", "03_fit_trends"], ["01_clean_figures"])
    on_step([], list(STEPS))
with progress.of_slips() as tell:
    tell(100, 200)
"""
COLOUR = re.compile(r"\x1b\[([\d;]*)m")


def on_a_terminal(words: list[str], **environment: str) -> str:
    """What a program writes to a terminal of 120 columns, stdout and stderr together."""
    given = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        words, stdin=follower, stdout=follower, stderr=follower,
        env={**given, "TERM": "xterm-256color", "COLUMNS": "120", **environment},
    )  # fmt: skip
    os.close(follower)
    written = b""
    with suppress(OSError):  # the terminal is gone with the program
        while piece := os.read(leader, 65536):
            written += piece
    os.close(leader)
    assert process.wait(60) == 0, written
    return written.decode()


def colours(text: str) -> list[str]:
    """The sequences that set a colour; bold, dim and the end of both set none."""
    return [found for found in COLOUR.findall(text) if re.search(r"(?<!\d)(3[0-8]|9[0-7])(?!\d)", found)]


def test_a_bar_tells_the_steps_at_work_how_many_are_done_and_the_time_left():
    drawn = on_a_terminal([sys.executable, "-c", DRAWN])
    assert re.search(r"01_clean_figures .*0/6.* about 0:\d\d:\d\d left", drawn)
    assert re.search(r"02_describe_market, 03_fit_trends .*1/6", drawn)
    assert re.search(r"finishing .*6/6.* nearly done", drawn)
    assert re.search(r"trying what a slip in a raw cell would do .*100/200", drawn)
    assert colours(drawn)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_nothing_is_coloured_where_no_colour_is_wanted_or_known(environment):
    drawn = on_a_terminal([sys.executable, "-c", DRAWN], **environment)
    assert not colours(drawn)
    assert ("6/6" in drawn) == ("NO_COLOR" in environment), "a dumb terminal cannot draw a line anew"


def test_a_pipe_gets_no_bar():
    done = subprocess.run([sys.executable, "-c", DRAWN], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("words", ["--help", "runs", "trace market.overseas.growth.2024"])
def test_what_is_printed_into_a_pipe_has_no_escape_codes(words):
    done = shell(f".venv/bin/anime-growth {words}", TERM="xterm-256color")
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr


def test_a_run_draws_its_bar_between_no_lines_of_a_log_and_ends_with_what_to_do(copy_of_study):
    shutil.copytree(paths.published(), copy_of_study / "data/processed/published")
    lighten(copy_of_study)
    drawn = on_a_terminal([COMMAND, "run"], ANIME_GROWTH_HOME=str(copy_of_study))
    assert "running 0" not in drawn and "all steps done" not in drawn
    assert re.search(r"01_clean_figures .*0/6.* left", drawn) and "6/6" in drawn
    report, said = drawn.splitlines()[-2:]
    assert report.endswith("/report.html") and said.startswith("Next: ")
