"""Models that bring their own code, in a process of their own.

Here belong the process, what it sees of this machine, and the conversation with it. Whose code may run is asked of
``permissions`` before; how a model is called is data in ``recipes``; the other side is ``plugin_child``.

The process is no sandbox: foreign code can read what its user can read. What is kept from it is what it would find
without looking: secrets in the environment, the hub's token, the network of the hub libraries, and this process, to
which it can send nothing but JSON and numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from panic_assets.models.errors import ModelCallError

CHILD = Path(__file__).with_name("plugin_child.py")

_PASSED_ON = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "PYTHONUTF8")
_PASSED_ON_BEGINNINGS = ("LC_", "CUDA_VISIBLE_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "NUMBA_")
_TAIL = 2000
_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 2.0


class PluginError(ModelCallError):
    """What foreign code raised in its process; ``kind`` is the name of the exception's class there."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {message}")


class PluginDied(ModelCallError):
    """The process of a model ended in the middle of a call. The next call starts another."""


class Stage:
    """A temporary home for a process: a hub cache that holds the permitted commits and nothing else.

    Whatever name, branch or none foreign code asks the hub libraries for, they find the permitted commit or nothing.
    """

    def __init__(self, repositories: Iterable[tuple[str, str, Path]]) -> None:
        """Args: ``repositories``: name, commit and folder of each."""
        self.home = Path(tempfile.mkdtemp(prefix="panic-plugin-"))
        self.cache = self.home / "hub"
        self.cache.mkdir()
        self._finalizer = weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)
        for repo, commit, folder in repositories:
            place = self.cache / f"models--{repo.replace('/', '--')}"
            (place / "snapshots").mkdir(parents=True)
            (place / "refs").mkdir()
            (place / "refs" / "main").write_text(commit)
            (place / "snapshots" / commit).symlink_to(folder.resolve(), target_is_directory=True)

    def close(self) -> None:
        """Remove it."""
        self._finalizer()

    def environment(self) -> dict[str, str]:
        """All variables of a process that lives here: those without secrets, and where the hub libraries look."""
        passed = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED_ON or name.startswith(_PASSED_ON_BEGINNINGS)
        }
        home = {name: str(self.home) for name in ("HOME", "HF_HOME", "TMPDIR", "XDG_CACHE_HOME")}
        offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(self.cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
        quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        # Packages that a user installed for himself are found from the home that is hidden.
        packages = {"PYTHONUSERBASE": site.getuserbase()}
        return {**passed, **home, **offline, **quiet, **packages, "HF_MODULES_CACHE": str(self.home / "modules")}


class PluginProcess:
    """One process, from its start to its end. One call at a time."""

    def __init__(self, python: str | None, stage: Stage) -> None:
        """Start it.

        Args:
            python: interpreter; None for the one that runs this.
            stage: where it lives; removed with it.

        Raises:
            OSError: the interpreter can't be started.
        """
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        ours, theirs = socket.socketpair()
        try:
            # Standard input is empty: transformers asks questions there.
            self.process = subprocess.Popen(
                [python or sys.executable, str(CHILD), str(stage.home), str(theirs.fileno())],
                env=stage.environment(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
            )
        except OSError:
            ours.close()
            self._output.close()
            raise
        finally:
            theirs.close()
        self._connection = Connection(ours.detach())
        self._stage = stage
        self.is_lost = False
        self._finalizer = weakref.finalize(self, _end, self.process, self._connection, self._output)

    def ask(self, what: str, buffers: Sequence[bytes] = (), **values: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Ask for something, and wait for the answer and the raw bytes with it.

        Raises:
            PluginError: the code there raised.
            PluginDied: the process ended, or what it sent is no answer; it is of no more use.
        """
        try:
            return self._exchange({"do": what, **values, "buffers": len(buffers)}, buffers)
        except (EOFError, OSError, ValueError, KeyError, TypeError) as error:
            raise PluginDied(self._lost(error)) from error
        except BaseException as error:
            if not isinstance(
                error, PluginError
            ):  # such as Ctrl-C: the answer would be taken for that of the next call
                self._lost(error)
            raise

    def close(self) -> None:
        """End it."""
        self.is_lost = True
        self._finalizer()
        self._stage.close()

    def _exchange(self, asked: dict[str, Any], buffers: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        self._connection.send_bytes(json.dumps(asked).encode())
        for buffer in buffers:
            self._connection.send_bytes(buffer)
        answer = json.loads(self._receive())
        received = [self._receive() for _ in range(int(answer["buffers"]))]
        if answer["ok"] is not True:
            raise PluginError(str(answer["kind"]), str(answer["message"]))
        return answer, received

    def _receive(self) -> bytes:
        while not self._connection.poll(_LOOK_SECONDS):
            # A process that it left behind may hold the other end open.
            if self.process.poll() is not None and not self._connection.poll(0):
                raise EOFError
        return self._connection.recv_bytes()

    def _lost(self, error: BaseException) -> str:
        try:
            code = self.process.wait(_GRACE_SECONDS)
            how = f"ended with exit status {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        except subprocess.TimeoutExpired:
            how = f"was ended, since its answer can't be read ({type(error).__name__}: {error})"
        text = f"the process {self.process.pid} that runs its code {how}"
        written = self._written()
        self.close()
        return f"{text}; it last wrote: {written}" if written else text

    def _written(self) -> str:
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _TAIL))
        return self._output.read().decode("utf-8", "replace").strip()


def _end(process: subprocess.Popen[bytes], connection: Connection, output: Any) -> None:
    """The end of the connection asks it to go; if it does not, it is killed."""
    connection.close()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    output.close()
