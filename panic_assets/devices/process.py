"""A device that computes in a process of its own, so that it can be ended and started again.

Here belong how such a process is started and when. The conversation with it is that of ``child``, its own part that
of ``worker``. It is a fresh interpreter and no fork: CUDA can't be forked, and neither can a process with threads. It
imports nothing of the parent's ``__main__``, so it can be used from a script, a notebook, a test or Dagster alike.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

from panic_assets.devices.base import Call, Reply
from panic_assets.devices.child import Child
from panic_assets.devices.wire import Description
from panic_assets.errors import PanicError

LIMIT_SECONDS, LOADING_SECONDS = 3600.0, 1800.0
#: Each library reads its own; torch has no other setting that works before it is imported.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_BURIAL_SECONDS = 60.0


class ProcessDevice:
    """Calls models in a process that the first call starts, and the first call after each loss starts anew.

    Args:
        device: ``cpu``, ``cuda:0`` or another device of torch.
        name: among the devices of a session; the device if none.
        capacity_gb: GiB that its models may take together; None: on CUDA what the GPU has less a margin (see
            ``worker``), elsewhere no bound.
        lanes: calls at once.
        threads: of numeric libraries; None for what they choose, which is all cores.
        environment: variables that it has in addition to those of this process.
        python: interpreter to run; it must have this package.
        limit_seconds: of a call that brings no limit of its own, loading not counted; None for no limit.
        loading_seconds: how long a model may take to load.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        name: str | None = None,
        capacity_gb: float | None = None,
        lanes: int = 1,
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
        limit_seconds: float | None = LIMIT_SECONDS,
        loading_seconds: float = LOADING_SECONDS,
    ) -> None:
        self.device, self.lanes = device, lanes
        self._name, self._capacity_gb, self._python = name or device, capacity_gb, python
        self._limit_seconds, self._loading_seconds = limit_seconds, loading_seconds
        self._environment = {variable: str(threads) for variable in _THREADS} if threads is not None else {}
        self._environment |= environment or {}
        self._starting = threading.Lock()
        self._child: Child | None = None
        self._finalizer: weakref.finalize | None = None
        self._starts = 0
        self._is_closed = False
        self._description: Description | None = None

    @property
    def name(self) -> str:
        """See :class:`panic_assets.devices.base.Device`."""
        return self._name

    @property
    def hardware(self) -> str:
        """See :class:`panic_assets.devices.base.Device`; starts the process where only that can tell."""
        return "cpu" if self.device == "cpu" else self.describe().hardware

    @property
    def capacity_gb(self) -> float | None:
        """See :class:`panic_assets.devices.base.Device`; starts the process where only that can tell."""
        if self._capacity_gb is None and self.device.startswith("cuda"):
            return self.describe().capacity_gb
        return self._capacity_gb

    @property
    def restarts(self) -> int:
        """How many times the process was started again."""
        return max(0, self._starts - 1)

    @property
    def pid(self) -> int | None:
        """Of the process that runs now, if one does."""
        child = self._child
        return None if child is None or child.has_ended else child.pid

    def describe(self) -> Description:
        """What the process says of its device; asked once.

        Raises:
            PanicError: there is no such device here, or the process can't be started.
        """
        if self._description is None:
            self._description = self._running().describe()
        return self._description

    def call(self, call: Call) -> Reply:
        """See :class:`panic_assets.devices.base.Device`."""
        limit = self._limit_seconds if call.limit_seconds is None else call.limit_seconds
        return self._running().call(call, limit)

    def close(self) -> None:
        """End the process, calls in flight or not; they raise ``DeviceLost``. May be called again."""
        with self._starting:
            self._is_closed = True
            if self._finalizer is not None:
                self._finalizer()

    def _running(self) -> Child:
        with self._starting:
            if self._is_closed:
                raise PanicError(f"the device {self.name} is closed; open another one to go on")
            if self._child is None or self._child.has_ended:
                if self._child is not None:
                    self._child.join(_BURIAL_SECONDS)  # what it holds of a GPU's memory is wanted now
                self._child = Child(self.name, self._command(), self._variables(), self._loading_seconds)
                self._starts += 1
                if self._finalizer is not None:
                    self._finalizer.detach()
                # Also at the end of the interpreter, and when the device is forgotten.
                self._finalizer = weakref.finalize(self, self._child.close)
            return self._child

    def _command(self) -> list[str]:
        # -P: a folder that happens to be the working directory must not shadow modules.
        command = [self._python, "-P", "-m", "panic_assets.devices.worker", self.device, "--lanes", str(self.lanes)]
        return command if self._capacity_gb is None else [*command, "--capacity-gb", str(self._capacity_gb)]

    def _variables(self) -> dict[str, str]:
        variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if self._python == sys.executable:  # it finds what this process finds
            variables["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        return variables | self._environment
