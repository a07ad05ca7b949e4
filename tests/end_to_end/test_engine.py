"""The engine whose kernels are forks: a notebook shows the same as with papermill's own, and takes its state along."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
import zmq
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from anime_growth import engine, paths, processes, steps
from tests.end_to_end.conftest import TOP, one_chain

pytestmark = pytest.mark.skipif(not processes.CAN_FORK, reason="this system cannot fork")

EXECUTE = """
import json, os, sys
import papermill
from papermill.exceptions import PapermillExecutionError

for notebook, out, options in json.load(sys.stdin):
    try:
        papermill.execute_notebook(notebook, out, progress_bar=False, kernel_name="python3", **options)
    except PapermillExecutionError as problem:
        print(problem.ename)
"""


def papermill(folder, *notebooks, **environment):
    """Execute notebooks one after the other in one fresh process; what it says of errors, and on stderr.

    Each is (its path, where its outputs go, options for papermill).
    """
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE],
        input=json.dumps([(str(notebook), str(out), options) for notebook, out, options in notebooks]),
        cwd=folder,
        env={**_plain(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def _plain():
    import os

    return {name: text for name, text in os.environ.items() if not name.startswith("ANIME_GROWTH_")}


def write(folder, name, *sources, **tags):
    """A notebook of these cells; `tags` by a cell's number, as `_3=["raises-exception"]`."""
    cells = [new_code_cell(textwrap.dedent(source).strip()) for source in sources]
    for number, names in tags.items():
        cells[int(number.strip("_"))].metadata["tags"] = names
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": spec}), path)
    return path


def shown(path):
    """All that a notebook shows, cell by cell, without process ids and addresses in memory."""
    cells = []
    for cell in nbformat.read(path, as_version=4).cells:
        text = json.dumps(cell.get("outputs", []), sort_keys=True)
        said = json.loads(re.sub(r"(ipykernel_| at 0x)[0-9a-f]+", r"\1", text))
        told = cell.metadata.get("papermill", {})
        timings = sorted(name for name, at in told.items() if name.endswith("time") and at)
        cells.append((cell.source, said, cell.get("execution_count"), told.get("status"), timings))
    return cells


def text_of(path):
    """What a notebook printed, cell by cell."""
    cells = nbformat.read(path, as_version=4).cells
    return ["".join(one.get("text", "") for one in cell.get("outputs", [])).strip() for cell in cells]


# --- the same as with papermill's own engine ----------------------------------------------------------
TORTURE = (
    # streams in order
    """
    import sys
    print("out 1"); print("err 1", file=sys.stderr); print("out 2"); sys.stdout.flush()
    sys.stderr.write("half a line"); sys.stderr.flush(); print("out 3", end=""); print()
    """,
    # displays that are changed later, from the next cell too
    """
    from IPython.display import HTML, JSON, Markdown, clear_output, display
    handle = display(HTML("<b>first</b>"), display_id=True)
    handle.update(HTML("<b>second</b>"))
    display(JSON({"a": [1, None]}), Markdown("*text*"), {"text/plain": "raw"}, raw=False)
    print("gone"); clear_output(); print("stays")
    """,
    """
    handle.update(HTML("<b>third</b>"))
    handle.display(HTML("<b>again</b>"))
    """,
    # figures and tables
    """
    %matplotlib inline
    import matplotlib.pyplot as plt
    import pandas as pd
    plt.figure(figsize=(2, 1)); plt.plot([1, 3, 2]); plt.show()
    print(pd.DataFrame([range(10**6, 10**6 + 18)]))
    pd.DataFrame({"a": [1.5, 2.5], "b": ["ä", "日本"]})
    """,
    """
    plt.figure(figsize=(1, 1)); plt.plot([2, 1])
    """,
    # magics
    """
    %precision 3
    3.14159265
    """,
    """
    %%capture captured
    print("hidden")
    """,
    """
    captured.stdout, _, __, In[5], len(Out), get_ipython().execution_count
    """,
    """
    !echo "from a shell" && echo "and its errors" >&2
    found = !echo one; echo two
    found
    """,
    # asynchronous
    """
    import asyncio
    async def later(word):
        await asyncio.sleep(0.01)
        print(word)
        return word
    await asyncio.gather(later("a"), later("b"))
    """,
    # what goes past Python's streams, and what comes out of threads and other processes
    """
    import os, subprocess, threading, time
    os.write(1, b"raw bytes\\n"); time.sleep(0.4)
    subprocess.run(["echo", "child"]); time.sleep(0.4)
    thread = threading.Thread(target=print, args=("from a thread",)); thread.start(); thread.join()
    """,
    # warnings, logs, errors
    """
    import logging, warnings
    warnings.warn("careful"); warnings.warn("careful", DeprecationWarning)
    logging.warning("logged"); logging.getLogger("anime_growth").warning("as well"); logging.info("not this")
    """,
    """
    def inner():
        raise ValueError("einäugig ☃")
    try:
        inner()
    except ValueError as problem:
        raise RuntimeError("the second") from problem
    """,
    "this is no Python",
    "raise KeyboardInterrupt",
    "input('a question')",
    "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    # what a kernel is made of
    """
    import sys
    print(__name__, os.getcwd(), [word for word in sys.argv if "json" not in word], sys.path[0] == "")
    print(sys.stdin is None, sys.stdout.encoding, sys.stdout.isatty(), type(get_ipython()).__name__)
    print(sorted(name for name in os.environ if name.startswith(("JPY", "MPL", "ANIME"))))
    print(os.getpid() == os.getsid(0), len(os.listdir("/proc/self/fd")) < 200)
    import signal
    print([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
    """,
    # large, and odd
    "print('x' * 1_000_000)\nprint('日本のアニメ 🎌 \\u200b ' * 1000)",
    "for n in range(200): print(n, end='\\r')",
    "print('\\x1b[31mred\\x1b[0m', '\\x00', '\\ud83d'.encode('utf8', 'replace'))",
    """
    class Odd:
        def _repr_html_(self): raise ValueError("no picture")
        def __repr__(self): return "odd"
    Odd()
    """,
    "42;",
    "None",
    "'last'",
)
RAISING = {f"_{number}": ["raises-exception"] for number in (12, 13, 14, 15, 16, 21)}


@pytest.fixture(scope="module")
def tortured(tmp_path_factory):
    """What the torture notebook shows under each engine."""
    folder = tmp_path_factory.mktemp("torture")
    notebook = write(folder, "torture", *TORTURE, **RAISING)
    outs = {name: folder / f"{name}.ipynb" for name in ("nbclient", engine.NAME)}
    options = [(notebook, out, {"engine_name": name}) for name, out in outs.items()]
    papermill(folder, *reversed(options))
    return {name: shown(out) for name, out in outs.items()}


@pytest.mark.xdist_group("torture")
@pytest.mark.parametrize("number", range(len(TORTURE)), ids=lambda number: TORTURE[number].strip().split("\n")[0][:40])
def test_a_cell_shows_the_same_under_both_engines(tortured, number):
    assert tortured[engine.NAME][number] == tortured["nbclient"][number]


@pytest.mark.xdist_group("torture")
def test_the_torture_is_one(tortured):
    kinds = {one["output_type"] for cell in tortured[engine.NAME] for one in cell[1]}
    assert kinds == {"stream", "display_data", "execute_result", "error"}
    names = {one["ename"] for cell in tortured[engine.NAME] for one in cell[1] if "ename" in one}
    assert names == {"RuntimeError", "SyntaxError", "KeyboardInterrupt", "StdinNotImplementedError", "ValueError"}
    assert tortured[engine.NAME][-1][1][0]["data"]["text/plain"] == "'last'"


AS_THE_README = {"engine_name": engine.NAME, "parameters": {"edition": 2025}}


@pytest.fixture(scope="session")
def forked_run(tmp_path_factory):
    """The chain executed by the engine from one process, as one who uses papermill's Python interface would."""
    folder = tmp_path_factory.mktemp("forked")
    notebooks = [(TOP / "notebooks" / f"{name}.ipynb", folder / f"{name}.ipynb", AS_THE_README) for name in steps.STEPS]
    said, _ = papermill(TOP, *notebooks, ANIME_GROWTH_RUN=str(folder))
    assert said == []
    return folder


@one_chain
@pytest.mark.parametrize("name", steps.STEPS)
def test_each_notebook_shows_and_leaves_the_same_under_both_engines(papermill_run, forked_run, name):
    assert shown(forked_run / f"{name}.ipynb") == shown(papermill_run / f"{name}.ipynb")
    for file in steps.STEPS[name].promises:
        assert (papermill_run / file).read_bytes() == (forked_run / file).read_bytes(), file


# --- what is taken along, and what is not ----------------------------------------------------------------
def test_nothing_of_a_notebook_is_left_for_the_next(tmp_path):
    first = write(
        tmp_path,
        "first",
        """
        import os, sys, builtins, warnings, logging, random, threading
        import numpy as np, pandas as pd, matplotlib
        name = "mine"; builtins.leak = 1; os.environ["LEAK"] = "1"; os.chdir("/"); sys.path.insert(0, "/leak")
        np.random.seed(0); random.seed(0); np.leak = 1; pd.set_option("display.max_rows", 7)
        matplotlib.rcParams["lines.linewidth"] = 77; warnings.simplefilter("ignore")
        logging.disable(50); threading.Thread(target=threading.Event().wait, daemon=True).start()
        sys.setrecursionlimit(5000); print(np.random.rand(), random.random())
        """,
    )
    second = write(
        tmp_path,
        "second",
        """
        import os, sys, builtins, logging, random, threading
        import numpy as np, pandas as pd, matplotlib
        print("name" in globals(), hasattr(builtins, "leak"), "LEAK" in os.environ, os.getcwd() == "/",
              "/leak" in sys.path, hasattr(np, "leak"), pd.get_option("display.max_rows") == 7,
              matplotlib.rcParams["lines.linewidth"] == 77, logging.root.manager.disable == 50,
              sys.getrecursionlimit() == 5000)
        """,
        "print(np.random.rand(), random.random())",
    )
    outs = [tmp_path / f"{number}.ipynb" for number in range(3)]
    how = {"engine_name": engine.NAME}
    said, _ = papermill(tmp_path, (first, outs[0], how), (second, outs[1], how), (second, outs[2], how))
    assert said == []
    assert set(text_of(outs[1])[0].split()) == {"False"}
    draws = [text_of(outs[0])[0], text_of(outs[1])[1], text_of(outs[2])[1]]
    assert len({word for draw in draws for word in draw.split()}) == 6, "each notebook draws chance anew"


def test_libraries_are_there_already_and_a_kernel_is_this_process_over_again(tmp_path):
    source = "import sys; print('statsmodels.api' in sys.modules)\nimport statsmodels.api\nimport psutil"
    command = "print(any('ipykernel' in word for word in psutil.Process().cmdline()))"
    notebook = write(tmp_path, "warm", source, command)
    outs = [tmp_path / "forked.ipynb", tmp_path / "kernel.ipynb"]
    papermill(tmp_path, (notebook, outs[0], {"engine_name": engine.NAME}), (notebook, outs[1], {}))
    assert text_of(outs[0]) == ["True", "False"]
    assert text_of(outs[1]) == ["False", "True"]


def test_while_a_cell_is_at_work_the_file_has_all_that_was_shown_before_it(tmp_path):
    out = tmp_path / "out.ipynb"
    look = f"""
    import json
    for cell in json.load(open({str(out)!r}))["cells"]:
        print(cell["metadata"]["papermill"]["status"], *["".join(one["text"]) for one in cell.get("outputs", [])])
    """
    notebook = write(tmp_path, "looks", "print('shown')", "", look)
    saved = nbformat.read(notebook, as_version=4)
    saved.cells[1] = new_markdown_cell("Between two cells of code.")
    nbformat.write(saved, notebook)
    papermill(tmp_path, (notebook, out, {"engine_name": engine.NAME}))
    assert text_of(out)[-1].splitlines() == ["completed shown", "", "completed", "running"]
    assert [cell.metadata.papermill.status for cell in nbformat.read(out, 4).cells] == ["completed"] * 3


def test_a_client_is_not_kept_waiting_by_a_kernel_that_has_opened():
    client = engine._Client()
    socket = client.context.socket(zmq.SUB)
    assert socket.getsockopt(zmq.RECONNECT_IVL) == engine.KNOCK_MS
    socket.close()
    client.context.term()


def test_a_kernel_that_is_no_python_of_this_environment_begins_as_elsewhere(tmp_path):
    spec = tmp_path / "kernels" / "other"
    spec.mkdir(parents=True)
    wrapped = ["sh", "-c", f"{sys.executable} -m ipykernel_launcher -f $0", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": wrapped, "display_name": "other", "language": "python"}))
    notebook = write(
        tmp_path, "other", "import psutil; print(any('ipykernel' in word for word in psutil.Process().cmdline()))"
    )
    out = tmp_path / "out.ipynb"
    script = EXECUTE.replace('kernel_name="python3"', 'kernel_name="other"')
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([(str(notebook), str(out), {"engine_name": engine.NAME})]),
        env={**_plain(), "JUPYTER_PATH": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert text_of(out) == ["True"]


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "import ctypes; ctypes.string_at(0)"])
def test_a_kernel_that_ends_by_itself_is_missed(tmp_path, end):
    notebook = write(tmp_path, "ends", f"import os\n{end}")
    script = EXECUTE.replace("except PapermillExecutionError as problem", "except Exception as problem").replace(
        "problem.ename", "type(problem).__name__"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([(str(notebook), str(tmp_path / "out.ipynb"), {"engine_name": engine.NAME})]),
        env=_plain(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["DeadKernelError"]


def test_where_a_process_cannot_be_copied_kernels_are_ordinary_and_it_is_said(tmp_path, monkeypatch):
    notebook = write(tmp_path, "plain", "import psutil; print('ipykernel' in ' '.join(psutil.Process().cmdline()))")
    script = "from anime_growth import processes\nprocesses.CAN_FORK = False\n" + EXECUTE
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([(str(notebook), str(tmp_path / "out.ipynb"), {"engine_name": engine.NAME})]),
        env=_plain(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert text_of(tmp_path / "out.ipynb") == ["True"]
    assert "cannot fork: notebooks get ordinary kernels" in done.stderr


def test_papermill_finds_the_engine_by_its_name():
    from papermill.engines import papermill_engines

    assert papermill_engines.get_engine(engine.NAME) is engine.ForkedEngine
    project = (Path(paths.home()) / "pyproject.toml").read_text()
    assert f'{engine.NAME} = "anime_growth.engine:ForkedEngine"' in project
