"""The connection of this process to a Ray cluster: found, or started here, and given up with the last device.

Here belongs what has to do with the cluster as a whole. What runs on it is that of ``cluster``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from panic_assets.devices.hardware import usable_cores
from panic_assets.errors import PanicError

STORE_BYTES, LEAST_STORE_BYTES = 256 * 1024**2, 80 * 1024**2
"""Of a cluster that is started here, the memory for what is on its way between processes. Ray takes no less than
75 MB, and puts what there is no room for in ``/dev/shm``, or in the store, on disk."""

_STATS = "RAY_USAGE_STATS_ENABLED"
_AUTHENTICATION = "RAY_AUTH_MODE"


class Connection:
    """Of this process to a cluster: Ray knows one at a time. It ends with the last device, if it began here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shares = 0
        self._is_ours = False
        self._folder: Path | None = None
        self._authentication: str | None = None

    def open(self, address: str | None, cpus: int) -> None:
        """Connect, unless this process is connected: then that cluster is used. Takes a share.

        Raises:
            PanicError: there is no such cluster, or it can't be started.
        """
        with self._lock:
            if not ray.is_initialized():
                # Ray sets this for a cluster that it starts, and reads it as long as the connection lasts.
                self._authentication = os.environ.get(_AUTHENTICATION)
                with _undisturbed():
                    self._connect(address, cpus)
                self._is_ours = True
            self._shares += 1

    def share(self) -> None:
        """Take a share of the connection.

        Raises:
            PanicError: there is none.
        """
        with self._lock:
            if not ray.is_initialized():
                raise PanicError("this process is not connected to a Ray cluster; open devices by their words, ray:...")
            self._shares += 1

    def close(self) -> None:
        """Give a share back; with the last one the connection ends, and the cluster too, if it was started here."""
        with self._lock:
            self._shares -= 1
            if self._shares or not self._is_ours:
                return
            ray.shutdown()
            self._is_ours = False
            self._clear()

    def _clear(self) -> None:
        _put_back(_AUTHENTICATION, self._authentication)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _connect(self, address: str | None, cpus: int) -> None:
        found = _is_announced()
        if address == "auto" and not found:
            raise PanicError(
                "devices: ray:address=auto: there is no cluster here; start one with ray start --head, join one with "
                "ray start --address=HOST:PORT, or set RAY_ADDRESS"
            )
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address == "local" or (address is None and not found):
                # A folder of its own: its path is short, as sockets want, and no other process joins this cluster.
                self._folder = Path(tempfile.mkdtemp(prefix="panic-ray-", dir=_short_folder()))
                ray.init(
                    address="local",
                    num_cpus=max(usable_cores(), cpus),
                    object_store_memory=_store_bytes(),
                    include_dashboard=False,
                    _temp_dir=str(self._folder),
                    **quiet,
                )
            else:
                ray.init(address=None if address == "auto" else address, **quiet)
        except (RayError, OSError, RuntimeError, ValueError) as error:
            self._clear()
            where = address or ("auto" if found else "local")
            raise PanicError(
                f"devices: ray:address={where}: no connection to a Ray cluster ({line(error)}); does it run, is "
                "this host one of it (ray start --address=HOST:PORT), are Python and Ray of the same version? What "
                "a cluster that died has left is cleared away by ray stop"
            ) from error


CONNECTION = Connection()


def _is_announced() -> bool:
    """Whether there is a cluster for ``auto``: named in the environment, or announced on this host by ``ray start``.

    Ray's own ``auto`` would also join a cluster that another process started for itself, and die with it.
    """
    from ray._common.utils import get_ray_address_file

    return bool(os.environ.get("RAY_ADDRESS")) or Path(get_ray_address_file(None)).exists()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Connecting changes the environment of this process and what it does on SIGTERM; put both back."""
    before = {variable: os.environ.get(variable) for variable in (_STATS, "PYTHONBREAKPOINT")}
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if is_main else None
    os.environ[_STATS] = "0"
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
        for variable, value in before.items():
            _put_back(variable, value)


def _put_back(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value


def _short_folder() -> str | None:
    """Where sockets may be: their paths end after 107 bytes (sun_path of unix(7)), of which Ray takes some 70."""
    return None if len(tempfile.gettempdir()) < 24 else "/tmp"


def _store_bytes() -> int:
    shared = Path("/dev/shm")
    free = shutil.disk_usage(shared).free if shared.is_dir() else STORE_BYTES
    return max(LEAST_STORE_BYTES, min(STORE_BYTES, int(0.8 * free)))


def line(error: BaseException) -> str:
    """The error in one line; Ray's texts are long and have tables in them."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:500]}"
