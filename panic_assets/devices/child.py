"""A worker process as its parent sees it: start it, ask it, know why it ended.

Here belong one process and the calls in flight to it, their limits included. When another one is started is that of
``process``.

What the worker writes on stdout and stderr goes line by line to the parent's ``sys.stderr``, under the device's name:
warnings of the libraries appear where they would if the parent computed, and the parent's stdout stays its own. The
last lines are kept, to be told when the worker dies.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

from panic_assets.devices.base import Call, CallTimedOut, DeviceLost, Reply
from panic_assets.devices.failures import unpack
from panic_assets.devices.wire import Description, Done, Failed, Phase, Progress, Request, Wire
from panic_assets.errors import PanicError

LAST_LINES = 20
_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 5.0
#: A process that starts, or a call that waits for others, is given at least so long without any sign of life.
_SILENT_SECONDS = 300.0


class Child:
    """One process, from its start to its end; it is never started again. Safe to use from several threads.

    Args:
        name: of the device, for messages.
        command: what to run; ``--wire`` and a number are added.
        environment: all its variables.
        loading_seconds: how long loading a model may take.

    Raises:
        PanicError: the interpreter can't be run.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], loading_seconds: float
    ) -> None:
        self._name, self._loading_seconds = name, loading_seconds
        self._silent_seconds = max(loading_seconds, _SILENT_SECONDS)
        self._owner = os.getpid()
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._asked: dict[int, _Asked] = {}
        self._reason: str | None = None
        self._is_ending = False
        self._heard_at = time.monotonic()
        here, there = socket.socketpair()
        # A worker that takes nothing for so long hangs; the struct is C's timeval.
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(self._silent_seconds), 0))
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, "--wire", str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=dict(environment),
                pass_fds=[there.fileno()],
            )
        except OSError as error:
            os.close(reading)
            here.close()
            raise PanicError(
                f"{name}: the worker process can't be started with {command[0]} ({error}); "
                "python must be an interpreter that has this package"
            ) from error
        finally:
            there.close()
            os.close(writing)
        self._wire, self._output = Wire(here), _Output(name, reading)
        self._reader = threading.Thread(target=self._read, name=f"answers of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended or is about to: nothing more can be asked."""
        return self._is_ending

    def describe(self) -> Description:
        """What it computes on.

        Raises:
            DeviceLost: it ended.
            PanicError: there is no such device.
        """
        described = self._ask(None, self._loading_seconds)
        assert isinstance(described, Description)
        return described

    def call(self, call: Call, limit_seconds: float | None) -> Reply:
        """See :class:`panic_assets.devices.base.Device`."""
        reply = self._ask(call, limit_seconds)
        assert isinstance(reply, Reply)
        return reply

    def close(self) -> None:
        """End it, calls in flight or not, and wait for its end. Does nothing in a process forked from the parent."""
        if os.getpid() == self._owner:
            self._end("was ended, since the device was closed", at_once=False)
            self.join(2 * _GRACE_SECONDS)

    def join(self, seconds: float) -> None:
        """Wait for its end, at most so long."""
        self._reader.join(seconds)

    def _ask(self, call: Call | None, limit_seconds: float | None) -> Reply | Description:
        number = next(self._numbers)
        frame = Wire.pack(Request(number, call))
        asked = _Asked(_what(call), limit_seconds)
        with self._changed:
            if self._is_ending:
                raise DeviceLost(self._obituary(asked))
            self._asked[number] = asked
        try:
            self._send(frame)
            return self._answer(asked)
        finally:
            with self._changed:
                self._asked.pop(number, None)

    def _send(self, frame: list[memoryview]) -> None:
        try:
            self._wire.write(frame)
        except BlockingIOError:
            self._end("was ended, since it took nothing that was sent to it")
        except OSError:
            pass  # it died; the reader will know how
        except BaseException:  # such as Ctrl-C: the rest of the frame will not follow
            self._end("was ended, since sending to it was interrupted")
            raise

    def _answer(self, asked: _Asked) -> Reply | Description:
        with self._changed:
            while asked.result is None and asked.error is None:
                limit, since = self._limit(asked)
                left = _LOOK_SECONDS if limit is None else since + limit - time.monotonic()
                if limit is not None and left <= 0:
                    asked.error = CallTimedOut(
                        f"{self._name}: {asked.what} took longer than {limit:g} s ({asked.phase or 'not begun'}); the "
                        f"process {self.pid} was ended. The next call starts another{self._output.told()}"
                    )
                    self._end(f"was ended, since {asked.what} took longer than {limit:g} s")
                    break
                self._changed.wait(min(left, _LOOK_SECONDS))
                if self._process.poll() is not None:
                    self._wire.shut()  # a process that it left behind may hold the other end
            if asked.error is not None:
                raise asked.error
            assert asked.result is not None
            return asked.result

    def _limit(self, asked: _Asked) -> tuple[float | None, float]:
        """Seconds that it may take, and since when: a call that waits for others is limited through them."""
        if asked.phase is None:
            return self._silent_seconds, max(self._heard_at, asked.since)
        return (self._loading_seconds if asked.phase == "loading" else asked.limit_seconds), asked.since

    def _read(self) -> None:
        try:
            while True:
                message = self._wire.receive()
                with self._changed:
                    self._note(message)
                    self._changed.notify_all()
                del message
        except (EOFError, OSError):
            pass
        except Exception as error:
            self._end(f"was ended, since its answer can't be read ({type(error).__name__}: {error})")
        self._bury()

    def _note(self, message: Progress | Done | Failed) -> None:
        self._heard_at = time.monotonic()
        if isinstance(message, Failed) and message.poisoned:
            text = f"{message.error.kind}: {message.error.message}"
            self._end(f"was ended, since its accelerator can't be used any more after {text}")
        asked = self._asked.get(message.number)
        if asked is None:
            return  # its caller was interrupted
        if isinstance(message, Progress):
            asked.phase, asked.since = message.phase, self._heard_at
        elif isinstance(message, Done):
            asked.result = message.result
        elif not message.poisoned:  # else the burial tells it, as to all others
            asked.error = unpack(message.error)

    def _end(self, reason: str, at_once: bool = True) -> None:
        with self._changed:
            self._reason = self._reason or reason
            self._is_ending = True
        if at_once:
            self._process.kill()
        self._wire.shut()

    def _bury(self) -> None:
        """After the last message: wait for the process, so that it is no zombie, and tell whoever still waits."""
        with self._changed:
            self._is_ending = True
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.join(_LOOK_SECONDS)
        with self._changed:
            for asked in self._asked.values():
                if asked.result is None and asked.error is None:
                    asked.error = DeviceLost(self._obituary(asked))
            self._changed.notify_all()
        self._wire.close()

    def _obituary(self, asked: _Asked) -> str:
        how = self._reason or _ended(self._process.poll())
        return (
            f"{self._name}: lost {asked.what}: the process {self.pid} {how}. The next call starts another"
            f"{self._output.told()}"
        )


class _Asked:
    """A request in flight."""

    def __init__(self, what: str, limit_seconds: float | None) -> None:
        self.what, self.limit_seconds = what, limit_seconds
        self.phase: Phase | None = None
        self.since = time.monotonic()
        self.result: Reply | Description | None = None
        self.error: Exception | None = None


class _Output:
    """What the process writes: passed on, and its end kept."""

    def __init__(self, name: str, reading: int) -> None:
        self._name, self._reading = name, reading
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._thread = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._thread.start()

    def told(self) -> str:
        """The last lines, to be put at the end of a message."""
        return "; it wrote last:\n  " + "\n  ".join(self._lines) if self._lines else "."

    def join(self, seconds: float) -> None:
        """Wait until all is read; a process that the worker left behind may hold the pipe for longer."""
        self._thread.join(seconds)

    def _read(self) -> None:
        with open(self._reading, encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                text = line.rstrip().rpartition("\r")[2]  # of a progress bar only how it ended
                self._lines.append(text[:1000])
                with contextlib.suppress(OSError, ValueError):  # the parent's stderr is closed: nobody wants to see it
                    sys.stderr.write(f"[{self._name}] {text}\n")


def _what(call: Call | None) -> str:
    if call is None:
        return "the question what it is"
    return f"a batch of {len(call.inputs)} for {call.entry.name}"


def _ended(status: int | None) -> str:
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended itself with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (the system does so when memory runs out)" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
