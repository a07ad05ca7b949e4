"""A papermill engine that runs a notebook in a fresh fork of a process which has imported the libraries once.

A new Python spends most of its time importing. So the kernel here is JupyterLab's own, spoken to as always,
and only its process begins in another way: as a copy of this one. What a notebook shows is the same, and
the copy takes all that the notebook did with it when it ends.

From anywhere: `papermill --engine forked in.ipynb out.ipynb` (an entry point in pyproject.toml).
"""

import ast
import asyncio
import contextlib
import gc
import importlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, NoReturn

import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import default

from anime_growth import errors, processes

if TYPE_CHECKING:
    from nbformat import NotebookNode

NAME = "forked"
CANNOT_FORK = "this system cannot fork: notebooks get ordinary kernels, which begin more slowly"
LAUNCHER = "ipykernel_launcher"  # the module that kernels are started with
# What every kernel imports when it begins, beside what it names at its top.
BEGINNING = (
    *("ipykernel.kernelapp", "ipykernel.debugger", "IPython.core.completerlib", "IPython.core.debugger"),
    *("IPython.core.logger", "IPython.core.oinspect", "IPython.extensions.storemagic", "sqlite3"),
    *("tornado.locks", "tornado.platform.asyncio", "tornado.queues", LAUNCHER),
)
# What libraries import where it is there, and no run needs: a debugger, since nobody can step through a notebook that
# papermill executes; pyarrow, for which pandas takes 50 MB, and keeps texts the same way without; and what makes
# jsonschema build 38 grammars for texts that no notebook has. A notebook may still import them itself.
UNUSED = ("debugpy", "pyarrow", "rfc3987_syntax")
# How long to wait for the answer of a kernel before it is asked again, and for its echo on the other channel, which
# is lost where that is not joined yet; and how often to look whether it has ended.
ANSWER_SECONDS, ECHO_SECONDS = 1, 0.05
LOOK_SECONDS = 0.005
# A client knocks before its kernel has opened; how often again [ms]. Left alone it would wait a tenth of a second.
KNOCK_MS = 2


class ForkedEngine:
    """papermill's own engine with kernels that are copies of this process; ordinary ones where it cannot fork.

    (papermill loads it while it is being imported itself, so it asks papermill for nothing before it is used.)
    """

    @classmethod
    def execute_notebook(
        cls,
        nb: "NotebookNode",
        kernel_name: str,
        output_path: str | None = None,
        progress_bar: bool | dict[str, Any] = True,
        log_output: bool = False,
        autosave_cell_every: int = 30,
        **options: Any,
    ) -> "NotebookNode":
        """Execute `nb` and return it (see papermill.engines.Engine)."""
        if processes.CAN_FORK:
            warm(cell.source for cell in nb.cells if cell.cell_type == "code")
            # A copy is killed when its last cell is done: it has nothing to tidy up but what it took along.
            options |= {"kernel_manager_class": _Manager, "shutdown_kernel": "immediate"}
        else:
            logging.getLogger("papermill").warning(CANNOT_FORK)
        manager = _quick_to_save()(nb, output_path, log_output, progress_bar, autosave_cell_every)
        manager.notebook_start()
        try:
            _original().execute_managed_notebook(manager, kernel_name, log_output=log_output, **options)
        finally:
            manager.cleanup_pbar()
            manager.notebook_complete()
        return manager.nb

    @classmethod
    def nb_kernel_name(cls, nb: "NotebookNode", name: str | None = None) -> str:
        """The kernel that the notebook asks for."""
        return _original().nb_kernel_name(nb, name)

    @classmethod
    def nb_language(cls, nb: "NotebookNode", language: str | None = None) -> str:
        """The language that the notebook is written in."""
        return _original().nb_language(nb, language)


def _original() -> Any:
    from papermill.engines import NBClientEngine

    return NBClientEngine


@cache
def _quick_to_save() -> type:
    """papermill's keeper of a notebook at work, without ado.

    The original saves before and after each cell. Here the file has all that was shown when the next cell of code
    begins, or at the end: the same but for the moment between two cells.
    """
    from papermill.engines import NotebookExecutionManager
    from papermill.iorw import papermill_io

    class Manager(NotebookExecutionManager):
        is_due = True

        def cell_start(self, cell: "NotebookNode", cell_index: int | None = None, **options: Any) -> None:
            self.is_due = cell.cell_type == "code"
            super().cell_start(cell, cell_index, **options)

        def cell_complete(self, cell: "NotebookNode", cell_index: int | None = None, **options: Any) -> None:
            self.is_due = False
            super().cell_complete(cell, cell_index, **options)

        def notebook_complete(self, **options: Any) -> None:
            self.is_due = True
            super().notebook_complete(**options)

        def save(self, nb: "NotebookNode | None" = None, **_: Any) -> None:
            if nb:
                self.nb = nb
            if self.output_path and self.is_due:  # laid out line by line, as it is at the end, it would take far longer
                papermill_io.write(json.dumps(self.nb), self.output_path)
            self.last_save_time = self.now()

    return Manager


def warm(sources: Iterable[str]) -> None:
    """Import what the cells import, so that copies of this process have it. What cannot be, the notebook will say."""
    # Before matplotlib looks at it; an ordinary kernel sets the same for itself.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    with hidden(*UNUSED):
        _import(*BEGINNING)
    for source in sources:
        with contextlib.suppress(SyntaxError):
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Import):
                    _import(*(alias.name for alias in node.names))
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    _import(node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@contextlib.contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Let nothing import the modules `names` meanwhile."""
    modules: dict[str, Any] = sys.modules
    before = {name: modules[name] for name in names if name in modules}
    modules |= dict.fromkeys(names)
    try:
        yield
    finally:
        for name in names:
            del modules[name]
        modules |= before


def _import(*names: str) -> None:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


# --- the copy ---------------------------------------------------------------------------------------
class _Fork:
    """A kernel's process as a copy of this one: as much of subprocess.Popen as a provisioner asks for."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: str) -> None:
        self.returncode: int | None = None
        parent = os.getpid()
        with processes.unwarned_of_threads():
            self.pid = os.fork()
        if not self.pid:
            _become_kernel(arguments, environment, folder, parent)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it is at work."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _become_kernel(arguments: list[str], environment: dict[str, str], folder: str, parent: int) -> NoReturn:
    """Forget what belongs to the original, then be an ordinary kernel until told to end."""
    import ipykernel.kernelapp
    import ipykernel_launcher

    code = 1
    try:
        os.setsid()
        processes.end_with(parent)
        _forget()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = [ipykernel_launcher.__file__, *arguments]
        ipykernel.kernelapp.launch_new_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={parent}"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        logging.exception("the kernel could not be started")
    finally:
        os._exit(code)


def _forget() -> None:
    """Drop what a fresh Python would not have: handlers of signals and logs, an event loop, this draw of chance."""
    gc.freeze()  # what was taken along is no garbage, and is not looked through again and again
    for number in errors.STOPS:
        signal.signal(number, signal.SIG_DFL)
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
    asyncio.events._set_running_loop(None)
    asyncio.set_event_loop(asyncio.new_event_loop())
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "pandas" in sys.modules:  # which decides when it is imported how wide tables are, and saw no notebook then
        sys.modules["pandas"].set_option("display.max_columns", 20)
    started = getattr(sys.modules["__main__"], "__file__", None)
    if sys.path[0] in ("", str(Path(started or ".").resolve().parent)):  # where Python looked for its program
        del sys.path[0]


# --- how a notebook finds it ------------------------------------------------------------------------
class _Provisioner(LocalProvisioner):
    """Begins Python kernels of this environment as copies, and others as they are begun elsewhere."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        if LAUNCHER not in cmd or Path(cmd[0]).resolve() != Path(sys.executable).resolve():
            return await super().launch_kernel(cmd, **kwargs)
        self.cwd = str(kwargs.get("cwd") or Path.cwd())
        process: Any = _Fork(
            cmd[cmd.index(LAUNCHER) + 1 :], kwargs["env"] | {"JPY_PARENT_PID": str(os.getpid())}, self.cwd
        )
        self.process, self.pid, self.pgid = process, process.pid, process.pid
        return self.connection_info

    async def wait(self) -> int | None:
        while (code := await self.poll()) is None:
            await asyncio.sleep(LOOK_SECONDS)
        self.process = None
        return code


class _Client(AsyncKernelClient):
    """Ready as soon as the kernel has answered on both channels; the original waits until nothing more comes."""

    @default("context")
    def _quick_to_connect(self) -> zmq.asyncio.Context:
        self._created_context = True
        context = zmq.asyncio.Context()
        context.setsockopt(zmq.RECONNECT_IVL, KNOCK_MS)  # of all sockets made in it
        return context

    async def _async_wait_for_ready(self, timeout: float | None = None) -> None:
        limit = time.monotonic() + (timeout or 60)
        while time.monotonic() < limit:
            asked = self.kernel_info()
            with contextlib.suppress(Empty):
                reply = await self.shell_channel.get_msg(timeout=ANSWER_SECONDS)
                while not _has_answered(await self.iopub_channel.get_msg(timeout=ECHO_SECONDS), asked):
                    pass
                self._handle_kernel_info_reply(reply)
                return
            if not await self._async_is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
        raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")

    wait_for_ready = _async_wait_for_ready


def _has_answered(message: dict[str, Any], asked: str) -> bool:
    return message["parent_header"].get("msg_id") == asked and message["content"].get("execution_state") == "idle"


class _Manager(AsyncKernelManager):
    @default("client_factory")
    def _client_factory_default(self) -> type[AsyncKernelClient]:
        return _Client

    async def _async_pre_start_kernel(self, **options: Any) -> tuple[list[str], dict[str, Any]]:
        self.provisioner = _Provisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**options)

    pre_start_kernel = _async_pre_start_kernel

    async def _async_wait(self, pollinterval: float = LOOK_SECONDS) -> None:
        await super()._async_wait(pollinterval)
