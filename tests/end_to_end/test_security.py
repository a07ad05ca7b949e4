"""A whole run on raw files that attack it: nothing in them is run or becomes HTML, and no connection is made."""

import csv
import hashlib
import html
import io
import json
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from markdown_it import MarkdownIt

from anime_growth import paths, pipeline, runs, sources, verify
from tests.elements import Elements
from tests.end_to_end.conftest import TOP, shell

# Tests that look at the same run go to the same worker, so that the chain is executed once.
one_run = pytest.mark.xdist_group("attacked run")

# A rule may say anything but braces and numbers; a raw file may say that too.
SENTENCE = "<script>document.evil()</script><img src=x onerror=document.evil()>\"'`touch canary`$(touch canary)"
TEXT = (
    f"{SENTENCE}{{{{ cycler.__init__.__globals__.os.system('touch canary') }}}}__import__('os').system('touch canary')"
)
SPOKEN = ("say", "otherwise", "without", "not_checkable", "label", "tolerance_reason")
# Columns that the study understands word by word; an attack there is refused, as tests of units show.
UNDERSTOOD = {
    *("unit", "edition", "derivation", "confidence", "precision", "method", "kind", "status", "source_kind"),
    *("source_id", "corroborating_source_ids", "published_on", "announced_on", "period", "value"),
}

# Loaded by every Python process that is started with this folder on its path, before anything else.
RECORDER = """
import os, socket, sys, traceback

WATCHED = {"connect", "bind", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo", "sendto", "sendmsg"}


def told(*words):
    handle = os.open(os.environ["CONNECTIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, (" ".join(map(str, words)) + "\\n").encode())
    os.close(handle)


def watch(event, arguments):
    family, _, name = event.partition(".")
    if family != "socket" or name not in WATCHED:
        return
    if isinstance(arguments[0], socket.socket) and arguments[0].family == socket.AF_UNIX:
        return
    told(event, arguments, "by", traceback.extract_stack(limit=2)[0].name)


sys.addaudithook(watch)
told("started", *sys.orig_argv[1:])
"""
# urllib3 finds out whether there is IPv6 by binding a socket to this machine's own address, and closes it.
HARMLESS = re.compile(r"socket\.bind \(.*, \('::1', 0\)\) by _has_ipv6")


def spoil(study: Path) -> None:
    """Put an attack into every free text of the raw files of a copy of the study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(paths.HOME_VARIABLE, str(study))
        for file in sources.raw_files():
            _spoil_rows(file)
    for path in (study / "data/raw").glob("articles/*/*/rules.yml"):
        spoilt = _spoilt_rules(yaml.safe_load(path.read_text(encoding="utf-8")))
        path.write_text(yaml.safe_dump(spoilt, allow_unicode=True, width=10_000), encoding="utf-8")


def _spoil_rows(file: sources.RawFile) -> None:
    texts = {field.name for field in file.resource.table.fields if field.type == "string"}
    free = texts - {*file.resource.table.primary_key} - UNDERSTOOD
    rows = list(csv.DictReader(io.StringIO(file.path.read_text(encoding="utf-8"))))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: f"{cell} {TEXT}" if name in free else cell for name, cell in row.items()} for row in rows])
    content = out.getvalue().encode()
    file.path.write_bytes(content)
    described = file.folder / sources.PACKAGE
    if described.exists():
        package = json.loads(described.read_text(encoding="utf-8"))
        package["title"] += TEXT
        (resource,) = (one for one in package["resources"] if one["path"] == file.path.name)
        resource.update(bytes=len(content), hash="sha256:" + hashlib.sha256(content).hexdigest())
        described.write_text(json.dumps(package), encoding="utf-8")


def _spoilt_rules(entry: object) -> object:
    if isinstance(entry, dict):
        return {
            key: f"{value} {SENTENCE}" if key in SPOKEN and isinstance(value, str) else _spoilt_rules(value)
            for key, value in entry.items()
        }
    return [_spoilt_rules(one) for one in entry] if isinstance(entry, list) else entry


def recorded(folder: Path, home: Path) -> dict[str, str]:
    """The environment of a run whose connections, and whose processes, are written to `folder`/connections."""
    (folder / "sitecustomize.py").write_text(RECORDER, encoding="utf-8")
    connections = str(folder / "connections")
    return {"ANIME_GROWTH_HOME": str(home), "PYTHONPATH": str(folder), "CONNECTIONS": connections}


def connections(folder: Path) -> list[str]:
    """What the recorder saw beside the start of processes."""
    lines = (folder / "connections").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("started") and not HARMLESS.fullmatch(line)]


@pytest.fixture(scope="session")
def attacked(tmp_path_factory) -> SimpleNamespace:
    """The real chain on spoilt raw files, without a network where this machine can cut it, each connection recorded."""
    study, recorder = tmp_path_factory.mktemp("study"), tmp_path_factory.mktemp("recorder")
    for name in ("data/raw", "notebooks"):
        shutil.copytree(paths.home() / name, study / name)
    spoil(study)
    cut = ["unshare", "--map-root-user", "--net"]
    can_cut = shutil.which("unshare") and not subprocess.run([*cut, "true"], capture_output=True).returncode
    command = shlex.join([*(cut if can_cut else []), ".venv/bin/anime-growth", "run", "--log-format", "json"])
    startup = tmp_path_factory.mktemp("ipython") / "profile_default/startup/first.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(f"open({str(study / 'canary')!r}, 'w').close()\n", encoding="utf-8")
    own = {"IPYTHONDIR": str(startup.parents[2]), "PYTHONSTARTUP": str(startup), "A_SECRET_TOKEN": "hunter2"}
    environment = {**recorded(recorder, study), **own}
    done = shell(command, cwd=study, **environment)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(study=study, run=study / "data/processed/runs/latest", recorder=recorder, done=done)


def as_html(text: str) -> str:
    """Markdown as a reader that lets HTML through shows it."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


class Page(Elements):
    """A page that may carry nothing of an attack."""

    def refuse_attack(self, scripts: int) -> None:
        """Fail for a script beside the page's own, for a handler of events, and for what would be loaded."""
        run = [given for tag, given in self.tags if tag == "script" and given.get("type") != "application/json"]
        assert len(run) == scripts
        assert not [name for _, given in self.tags for name in given if name.startswith("on")]
        loaded = [given["src"] for _, given in self.tags if "src" in given]
        assert not [address for address in loaded if not re.match(r"data:image/|(\.\./)?figures/\w+\.svg$", address)]


# --- what the raw files say -----------------------------------------------------------------------------
@one_run
@pytest.mark.parametrize("name", ["report.html", "trace.html"])
def test_the_pages_show_an_attack_as_text(attacked, name):
    text = (attacked.run / name).read_text(encoding="utf-8")
    assert "document.evil()" in html.unescape(text)
    Page(text).refuse_attack(scripts=1)


@one_run
def test_no_page_of_the_run_carries_an_attack_out(attacked):
    found = sorted(attacked.run.rglob("*.html"))
    assert len(found) > 10
    for path in found:
        Page(path.read_text(encoding="utf-8")).refuse_attack(scripts=1)


@one_run
@pytest.mark.parametrize("name", ["narrative.md", "finding.md", "limits.md"])
def test_the_texts_show_an_attack_as_text(attacked, name):
    text = (attacked.run / name).read_text(encoding="utf-8")
    assert ("document.evil()" in text) == (name == "narrative.md")
    Page(as_html(text)).refuse_attack(scripts=0)


@one_run
@pytest.mark.parametrize("step", pipeline.STEPS)
def test_the_notebooks_show_an_attack_as_text(attacked, step):
    notebook = nbformat.read(attacked.run / "notebooks" / f"{step}.ipynb", as_version=4)
    outputs = [out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", ())]
    shown = [out[kind] for out in outputs for kind in ("text/html", "image/svg+xml") if kind in out]
    shown += [as_html(out["text/markdown"]) for out in outputs if "text/markdown" in out]
    for text in shown:
        Page(text).refuse_attack(scripts=0)


@pytest.fixture(scope="module")
def flipped(attacked, tmp_path_factory) -> Path:
    """The same run with other verdicts."""
    other = Path(shutil.copytree(attacked.run, tmp_path_factory.mktemp("flipped") / "run"))
    verdicts = (other / "verdicts.csv").read_text(encoding="utf-8")
    (other / "verdicts.csv").write_text(verdicts.replace(",contradicted,", ",supported,"), encoding="utf-8")
    return other


@one_run
def test_the_digest_of_two_runs_shows_an_attack_as_text(attacked, flipped):
    done = shell(f".venv/bin/anime-growth diff latest {flipped}", ANIME_GROWTH_HOME=str(attacked.study))
    assert "flipped" in done.stdout and "document.evil" in done.stdout, done.stderr
    Page(as_html(done.stdout)).refuse_attack(scripts=0)


@one_run
def test_the_certificate_of_two_runs_shows_an_attack_as_text(attacked, flipped, monkeypatch):
    monkeypatch.setenv(paths.HOME_VARIABLE, str(attacked.study))
    told = verify.as_markdown(verify.certificate(attacked.run.resolve(), flipped, runs.Manner()))
    assert "flipped" in told
    Page(as_html(told)).refuse_attack(scripts=0)


@one_run
def test_nothing_that_the_raw_files_or_the_users_own_startup_files_say_was_run(attacked):
    assert not list(attacked.study.rglob("canary")) and not (TOP / "canary").exists()


@one_run
def test_the_environment_of_a_run_is_kept_nowhere(attacked):
    assert "hunter2" not in attacked.done.stdout + attacked.done.stderr
    kept = [path for path in attacked.run.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


@one_run
def test_no_file_of_the_study_outside_its_runs_was_changed_or_added(attacked):
    outside = {path for path in attacked.study.rglob("*") if path.is_file() and "runs" not in path.parts}
    assert {path.relative_to(attacked.study).parts[0] for path in outside} == {"data", "notebooks"}
    assert {path.name for path in (attacked.study / "data").iterdir()} == {"raw", "processed"}


# --- connections ----------------------------------------------------------------------------------------
@one_run
def test_a_run_makes_no_connection(attacked):
    started = (attacked.recorder / "connections").read_text(encoding="utf-8")
    assert "anime-growth run" in started, "and with it the forks that are its kernels"
    assert connections(attacked.recorder) == []


def test_a_connection_that_a_cell_makes_would_be_seen(copy_of_study, tmp_path_factory):
    recorder = tmp_path_factory.mktemp("recorder")
    path = copy_of_study / "notebooks/01_clean_figures.ipynb"
    notebook = nbformat.read(path, as_version=4)
    calls = ["getaddrinfo('localhost', 9)", "socket().connect_ex(('127.0.0.1', 9))"]
    source = "\n".join(["import socket", *(f"socket.{call}" for call in calls), "raise SystemError('seen enough')"])
    notebook.cells.insert(1, nbformat.v4.new_code_cell(source))
    nbformat.write(notebook, path)
    done = shell(".venv/bin/anime-growth run", **recorded(recorder, copy_of_study))
    assert done.returncode == 1 and "seen enough" in done.stderr
    assert [line.split()[0] for line in connections(recorder)] == ["socket.getaddrinfo", "socket.connect"]


# --- dependencies ---------------------------------------------------------------------------------------
@pytest.fixture
def database() -> Iterator[SimpleNamespace]:
    """A stand-in for the database of vulnerabilities, on this machine; `known` is what it says of the first package."""
    stands_in = SimpleNamespace(known=[], status=200, asked=[])

    class Answer(BaseHTTPRequestHandler):
        def _send(self, told: dict) -> None:
            content = json.dumps(told).encode()
            self.send_response(stands_in.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
            stands_in.asked = [one["package"]["name"] for one in asked]
            self._send({"results": [{"vulns": stands_in.known}, *({} for _ in asked[1:])]})

        def do_GET(self):
            self._send({**stands_in.known[0], "summary": "a hole", "affected": []})

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stands_in.url = f"http://127.0.0.1:{server.server_port}/"
    yield stands_in
    server.shutdown()
    server.server_close()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    """`make audit` with another database; its script knows the environment in the top folder only."""
    if not (TOP / ".venv/bin/uv").exists():
        pytest.skip("uv is not in the environment of the top folder")
    return subprocess.run(["sh", TOP / ".ci/audit", "--service-url", url], capture_output=True, text=True, timeout=60)


def test_the_audit_asks_about_every_locked_package_and_fails_for_a_known_hole(database):
    fine = audit(database.url)
    assert fine.returncode == 0, fine.stdout
    assert {"papermill", "pandas", "pydantic"} <= set(database.asked)
    database.known = [{"id": "GHSA-0000-0000-0000", "modified": "2026-01-01T00:00:00Z"}]
    spoilt = audit(database.url)
    assert spoilt.returncode == 1 and "GHSA-0000-0000-0000: a hole" in spoilt.stdout


def test_an_audit_that_cannot_ask_says_so_in_one_line_and_passes(database):
    database.status = 503
    for url in (database.url, "http://127.0.0.1:9/"):
        done = audit(url)
        assert done.returncode == 0
        assert done.stdout.splitlines() == [
            "audit: not done, since the database of vulnerabilities cannot be reached from here"
        ]


def test_an_audit_that_goes_wrong_otherwise_fails(database):
    done = subprocess.run(["sh", TOP / ".ci/audit", "--no-such-option"], capture_output=True, text=True, timeout=60)
    assert done.returncode not in (0, 1)


def test_the_workflow_audits():
    told = yaml.safe_load((TOP / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    assert {"run": "make audit"} in told["jobs"]["test"]["steps"]
