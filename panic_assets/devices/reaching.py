"""Getting to the server of a data directory: connect to it, start one where there is none, ask it, stop it.

Here belongs what happens until both sides agree to work together. The calls are those of ``shared``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any, Literal

from panic_assets.devices.door import Door
from panic_assets.devices.server import IDLE_SECONDS, TAKEN_STATUS
from panic_assets.devices.shared_wire import Hello, Refused, ServerStatus, Welcome, code_mark, prove, unlimit
from panic_assets.devices.wire import Wire
from panic_assets.errors import PanicError
from panic_assets.paths import DATA_VARIABLE

READY_SECONDS = 600.0
"""A server has so long to find out what its devices are, which may take importing torch and waking GPUs."""
_ANSWER_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_LAST_LINES = 20


@dataclass(frozen=True)
class Wanted:
    """What a server is started with, should one have to be; see :func:`panic_assets.devices.fleet.open_devices`."""

    spec: str = "auto"
    capacity_gb: float | None = None
    lanes: int | None = None
    idle_seconds: float = IDLE_SECONDS

    def command(self, data: Path) -> list[str]:
        """What to run. -P: a folder that happens to be the working directory must not shadow modules."""
        command = [sys.executable, "-P", "-m", "panic_assets.devices.server", str(data), "--spec", self.spec]
        command += ["--idle-seconds", str(self.idle_seconds)]
        for option, value in (("--capacity-gb", self.capacity_gb), ("--lanes", self.lanes)):
            command += [] if value is None else [option, str(value)]
        return command


def reach(door: Door, wanted: Wanted) -> tuple[Wire, Welcome]:
    """A connection to the server, which is started where there is none.

    Of several that start one at the same time, one does, and the others connect to that.

    Raises:
        PanicError: it can't be started, does not answer, or runs other code for somebody else.
    """
    found = _enter(door)
    if found is None:
        with door.starting(READY_SECONDS):
            found = _enter(door) or _started(door, wanted)
    return found


def status(data: Path) -> ServerStatus | None:
    """What the server of a data directory has and does; None without a server.

    Raises:
        PanicError: it does not answer.
    """
    found = _connected(Door(data), "status")
    if found is None:
        return None
    wire, answer = found
    wire.close()
    assert isinstance(answer, ServerStatus)
    return answer


def stop(data: Path, seconds: float = _STOP_SECONDS) -> int | None:
    """End the server of a data directory; one that does not end within so many seconds is killed.

    Calls in flight are lost to their clients, and the next call of each starts another server: end the clients first.

    Returns:
        Its process, None if there was none.

    Raises:
        PanicError: it is on another machine, or does not even end when it is killed.
    """
    door = Door(data)
    holder = door.holder()
    if holder is None:
        return None
    door.notice()  # on another machine the number of the process means nothing here
    try:
        found = _connected(door, "stop", seconds)
        if found is None:  # it is starting, or ending
            _signal(holder, signal.SIGTERM)
        else:
            found[0].close()
    except PanicError:  # it hangs
        _signal(holder, signal.SIGKILL)
    for number in (signal.SIGKILL, None):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if door.holder() != holder:
                return holder
            time.sleep(_LOOK_SECONDS)
        if number is not None:
            _signal(holder, number)
    raise PanicError(f"{door.folder}: process {holder} does not end; see {door.log}")


def _enter(door: Door) -> tuple[Wire, Welcome] | None:
    """A connection for calls; None where no server is, or one that is leaving."""
    found = _connected(door, "devices")
    if found is None:
        return None
    wire, answer = found
    if isinstance(answer, Welcome):
        return wire, answer
    wire.close()
    assert isinstance(answer, Refused)
    if answer.is_leaving:
        return None
    raise PanicError(f"{door.folder}: {answer.reason}")


def _connected(
    door: Door, wants: Literal["devices", "status", "stop"], seconds: float = _ANSWER_SECONDS
) -> tuple[Wire, Any] | None:
    """A connection and the answer to the greeting; None where no server is, whatever files may say.

    Raises:
        PanicError: there is one, and it does not answer.
    """
    notice = door.notice()
    if notice is None:
        return None
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        end.connect(notice.address)
        prove(end, bytes.fromhex(notice.secret), seconds, is_server=False)
        wire = Wire(end)
        wire.write(Wire.pack(Hello(wants, os.getpid(), code_mark())))
        answer = wire.receive()
        unlimit(end)
        return wire, answer
    except BlockingIOError as error:
        end.close()
        raise PanicError(
            f"{door.folder}: the server of devices, process {notice.pid}, does not answer for {seconds:g} s; "
            f"see {door.log}, and stop it if it hangs"
        ) from error
    except (AuthenticationError, EOFError, OSError):
        end.close()
        return None  # a killed one's files, or it is just leaving
    except BaseException:
        end.close()
        raise


def _started(door: Door, wanted: Wanted) -> tuple[Wire, Welcome]:
    """Start a server and wait until it takes calls. The caller holds ``starting``."""
    begin = door.log.stat().st_size if door.log.exists() else 0
    # It finds what this process finds; else its environment is that of whoever starts it.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environment = {**os.environ, DATA_VARIABLE: str(door.data), "PYTHONPATH": path}
    with open(os.open(door.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        process = subprocess.Popen(
            wanted.command(door.data),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,  # Ctrl-C here does not end it
        )
    # It outlives this process; should it end before, it is no zombie.
    threading.Thread(target=process.wait, name="end of the server of devices", daemon=True).start()
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        ended = process.poll()
        found = _enter(door)
        if found is not None:
            return found
        if ended is not None and ended != TAKEN_STATUS:
            raise PanicError(f"the server of devices can't be started (status {ended}).{_tail(door.log, begin)}")
        if ended == TAKEN_STATUS and door.holder() is None:
            break
        time.sleep(_LOOK_SECONDS)
    if process.poll() is None:
        process.terminate()
    raise PanicError(
        f"the server of devices was not ready within {READY_SECONDS:g} s; stop process {door.holder() or process.pid} "
        f"if it hangs, then run again.{_tail(door.log, begin)}"
    )


def _tail(log: Path, begin: int) -> str:
    try:
        content = log.read_bytes()
    except OSError:
        return ""
    lines = content[begin if begin <= len(content) else 0 :].decode(errors="replace").splitlines()[-_LAST_LINES:]
    return f" The end of {log}:\n" + "\n".join(lines) if lines else f" {log} says nothing"


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
