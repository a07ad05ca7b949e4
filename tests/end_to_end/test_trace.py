"""`anime-growth trace` as its readers start it, on the published results."""

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from anime_growth import paths

from .conftest import BIN, TOP, shell

KEY = "market.overseas.growth.2024"
# pydantic is not among them: typer itself looks for it.
HEAVY = (
    "pydantic",
    "psutil",
    "pandas",
    "numpy",
    "statsmodels",
    "scipy",
    "matplotlib",
    "pandera",
    "yaml",
    "jinja2",
    "nbformat",
    "lark",
)


def trace(*arguments, cwd=TOP, **environment):
    return shell(shlex.join([".venv/bin/anime-growth", "trace", *map(str, arguments)]), cwd, **environment)


@pytest.fixture(scope="module")
def answer():
    done = trace(KEY)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def data():
    return json.loads(trace(KEY, "--json").stdout)


@pytest.fixture
def study_of_published(tmp_path):
    """A copy of the published results and of the raw files that they rest on."""
    for name in ("data/raw", "data/processed/published"):
        shutil.copytree(paths.home() / name, tmp_path / name)
    return tmp_path


def test_the_chain_leads_from_the_number_to_two_printed_cells(answer):
    lines = answer.stdout.splitlines()
    assert answer.stderr == ""
    assert lines[0].startswith(f"{KEY}  26.0 %  growth of the overseas anime market in 2024, in yen")
    assert re.fullmatch(
        r"arithmetic\.growth_pct at [0-9a-f]{12}(\+changes)? · edition 2025 · high confidence", lines[1]
    )
    for year, printed in ((2024, 21702), (2023, 17222)):
        row = f"row year {year}, series broad_overseas, edition 2025, column value: prints {printed} 100 million JPY"
        assert sum(row in line for line in lines) == 1


def test_a_cell_comes_with_hash_title_publisher_date_edition_and_confidence(answer, data):
    (cell,) = (cell for cell in data["cells"].values() if cell["row"]["year"] == "2024")
    source = data["sources"][cell["source_id"]]
    for part in (cell["sha256"], source["title"], source["publisher"], source["published_on"], source["url"]):
        assert part and part in answer.stdout
    assert (cell["edition"], cell["confidence"]) == ("2025", "high")
    assert f"as printed · edition {cell['edition']} · {cell['confidence']} confidence" in answer.stdout


def test_json_holds_the_same_chain_as_the_tree(answer, data):
    assert set(data) == {"key", "quantities", "cells", "sources"}
    tree = answer.stdout
    for name, item in data["quantities"].items():
        assert f"{name}  {item['text']}  {item['label']}" in tree
    for cell in data["cells"].values():
        assert f"data/raw/{cell['file']}" in tree and f"prints {cell['printed']} {cell['unit']}" in tree
    for source in data["sources"]:
        assert f"{source}: " in tree
    assert (len(data["quantities"]), len(data["cells"])) == (3, 2)


def test_an_unknown_key_names_the_nearest_and_exits_2():
    done = trace("market.overseas.grwoth.2024")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Nearest: market.overseas.growth.2024" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_works_in_any_folder_and_for_a_study_elsewhere(answer, study_of_published):
    assert trace(KEY, cwd="/").stdout == answer.stdout
    assert trace(KEY, cwd=study_of_published, ANIME_GROWTH_HOME=str(study_of_published)).stdout == answer.stdout
    raw = study_of_published / "data/raw/aja/2025/aja_market_editions.csv"
    raw.write_bytes(raw.read_bytes() + b"\n")
    spoilt = trace(KEY, cwd="/", ANIME_GROWTH_HOME=str(study_of_published)).stdout
    assert spoilt.count("the file is no longer the one that was read") == 2
    assert "prints" not in spoilt


def test_a_finished_run_can_be_named(study_of_published):
    run = study_of_published / "run"
    (study_of_published / "data/processed/published").rename(run)
    found = json.loads((run / "quantities.json").read_text())
    found[KEY]["value"] = 99.0
    (run / "quantities.json").write_text(json.dumps(found))
    home = {"ANIME_GROWTH_HOME": str(study_of_published)}
    assert f"{KEY}  99.0 %" in trace(KEY, "--run", "run", cwd=study_of_published, **home).stdout
    without = trace(KEY, cwd=study_of_published, **home)
    assert (without.returncode, without.stdout) == (2, "")
    assert "data/processed/published: holds no finished run" in without.stderr


@pytest.mark.parametrize("key", [KEY, "trend.overseas.drift.growth", "specification.overseas.grows.holds"])
def test_what_is_piped_has_neither_escape_codes_nor_broken_lines(key):
    text = trace(key, COLUMNS="40", TERM="xterm-256color").stdout
    assert "\x1b" not in text
    for line in text.splitlines():
        assert line == line.rstrip()
        # Every line begins a quantity, its method, a cell, a hash or a source.
        assert re.match(
            r"[│├└─ ]*(\S+  \S|as printed|derived by|[a-z]+\.\w+|data/raw/|sha256 |S\d+|printed alike by S\d)", line
        ), line


def test_a_terminal_gets_its_own_width():
    """In a window of 60 columns no line is longer, and nothing of a long one is lost."""
    main, side = pty.openpty()
    settings = {**os.environ, "COLUMNS": "60", "TERM": "xterm-256color"}
    subprocess.run([BIN / "anime-growth", "trace", "market.overseas.level.2024"], stdout=side, env=settings, check=True)
    os.close(side)
    text = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the other side is closed and all is read
            break
        if not part:
            break
        text += part
    os.close(main)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text.decode())
    assert plain != text.decode()
    assert max(len(line) for line in plain.splitlines()) <= 60
    assert "https://www.animenewsnetwork.com" in re.sub(r"[\s│]+", "", plain)


def test_a_reader_of_the_pipe_may_have_seen_enough():
    done = shell(".venv/bin/anime-growth trace specification.overseas.grows.holds | head -1")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_trace_loads_none_of_the_heavy_libraries():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", BIN / "anime-growth", "trace", KEY], capture_output=True, text=True
    )
    assert done.returncode == 0
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "rich" in loaded
    assert loaded.isdisjoint(HEAVY)
