"""Devices of a server that several experiments use at once, as a client sees them.

Here belong the calls of a client and what it makes of a lost server. How a server is found or started is the business
of ``reaching``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import warnings
from concurrent.futures import Future

from panic_assets.devices.base import Call, Device, DeviceLost, Reply
from panic_assets.devices.door import Door
from panic_assets.devices.failures import unpack
from panic_assets.devices.reaching import Wanted, reach
from panic_assets.devices.server import IDLE_SECONDS
from panic_assets.devices.shared_wire import Ask, DeviceFacts, Welcome, Withdraw
from panic_assets.devices.wire import Done, Failed, Wire
from panic_assets.errors import PanicError
from panic_assets.paths import data_dir


def open_shared(
    rest: str, capacity_gb: float | None, lanes: int | None, *, idle_seconds: float = IDLE_SECONDS
) -> list[Device]:
    """The devices of the server of this data directory; one is started where there is none.

    Args:
        rest: what a server is started with, as in :func:`panic_assets.devices.fleet.open_devices`; empty for ``auto``.
        capacity_gb: of each device of a server that is started.
        lanes: of each device of a server that is started.
        idle_seconds: a server that is started ends after so long without a client.

    A server that runs already keeps the devices that it has; a warning tells where those were opened by other words.

    Raises:
        PanicError: the specification is not one, the server can't be started, or it can't be used.
    """
    spec = rest.strip() or "auto"
    if spec.partition(":")[0] in ("shared", "ray"):
        raise PanicError(f"devices: shared:{rest} is not possible; name devices of this machine, as in shared:cuda:0")
    session = _Session(Door(data_dir()), Wanted(spec, capacity_gb, lanes, idle_seconds))
    try:
        welcome = session.link().welcome
    except BaseException:
        session.close()
        raise
    if rest.strip() and welcome.spec != spec:
        warnings.warn(
            f"devices: the server that runs already (pid {welcome.pid}) has {welcome.spec!r}, not {spec!r}; "
            "stop it to have others",
            stacklevel=2,
        )
    devices = [SharedDevice(session, facts) for facts in welcome.devices]
    session.users = len(devices)
    return list(devices)


class SharedDevice:
    """A device of the server. Facts are those of the server that was there first; made by ``open_shared``."""

    def __init__(self, session: _Session, facts: DeviceFacts) -> None:
        self._session, self._facts, self._is_closed = session, facts, False

    @property
    def name(self) -> str:
        """See :class:`panic_assets.devices.base.Device`."""
        return self._facts.name

    @property
    def hardware(self) -> str:
        """See :class:`panic_assets.devices.base.Device`."""
        return self._facts.hardware

    @property
    def capacity_gb(self) -> float | None:
        """See :class:`panic_assets.devices.base.Device`; of the models of all clients together."""
        return self._facts.capacity_gb

    @property
    def lanes(self) -> int:
        """How many calls it computes at once, of all clients together; more wait at the server."""
        return self._facts.lanes

    def call(self, call: Call) -> Reply:
        """See :class:`panic_assets.devices.base.Device`. Time that it waits for other clients does not count.

        Raises:
            PanicError: the device is closed, or no server can be reached or has such a device.
        """
        if self._is_closed:
            raise PanicError(f"the device {self.name} is closed; open another one to go on")
        return self._session.link().call(self.name, call)

    def close(self) -> None:
        """Leave it to the others; the last device that is closed takes leave of the server."""
        if not self._is_closed:
            self._is_closed = True
            self._session.leave()


class _Session:
    """What the devices of one ``open_shared`` have in common: the link, and another one where that broke."""

    def __init__(self, door: Door, wanted: Wanted) -> None:
        self.users = 0
        self._door, self._wanted = door, wanted
        self._reaching = threading.Lock()
        self._link: _Link | None = None
        self._is_closed = False

    def link(self) -> _Link:
        """The connection.

        Raises:
            PanicError: no server can be reached, or all devices are closed.
        """
        with self._reaching:
            if self._is_closed:
                raise PanicError("the devices are closed; open others to go on")
            if self._link is None or self._link.has_ended:
                self._link = _Link(*reach(self._door, self._wanted), self._door)
            return self._link

    def leave(self) -> None:
        """A device was closed."""
        self.users -= 1
        if self.users <= 0:
            self.close()

    def close(self) -> None:
        """Take leave of the server; calls in flight raise ``DeviceLost``."""
        with self._reaching:
            self._is_closed = True
            if self._link is not None:
                self._link.close()


class _Link:
    """One connection and the calls in flight on it. Safe to use from several threads."""

    def __init__(self, wire: Wire, welcome: Welcome, door: Door) -> None:
        self.welcome = welcome
        self._wire, self._door, self._owner = wire, door, os.getpid()
        self._places = {facts.name: place for place, facts in enumerate(welcome.devices)}
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._asked: dict[int, tuple[str, Future[Reply]]] = {}
        self._has_ended = self._is_closed = False
        threading.Thread(target=self._read, name="answers of the server of devices", daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be asked any more. True in a process forked from the one that connected."""
        return self._has_ended or os.getpid() != self._owner

    def call(self, device: str, call: Call) -> Reply:
        """See :class:`panic_assets.devices.base.Device`."""
        if device not in self._places:
            raise PanicError(
                f"{self._door.folder}: the server (pid {self.welcome.pid}) has no device {device}, but "
                f"{', '.join(self._places)}; open the devices again"
            )
        number, answer = next(self._numbers), Future[Reply]()
        what = f"a call of {call.entry.name} on {device} ({len(call.inputs)} items)"
        frame = Wire.pack(Ask(number, self._places[device], call))
        with self._lock:
            if self._has_ended:
                raise self._lost(what)
            self._asked[number] = (what, answer)
        try:
            self._send(frame)
            return answer.result()
        finally:
            with self._lock:
                is_interrupted = self._asked.pop(number, None) is not None
            if is_interrupted:
                self._send(Wire.pack(Withdraw(number)))

    def close(self) -> None:
        """Take leave. The reader then gives the socket back."""
        self._is_closed = True
        if os.getpid() == self._owner:
            self._wire.shut()

    def _send(self, frame: list[memoryview]) -> None:
        try:
            self._wire.write(frame)
        except OSError:
            pass  # the server is gone, as the reader will find
        except BaseException:  # such as Ctrl-C: the rest of the frame will not follow
            self._wire.shut()
            raise

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                try:
                    message = self._wire.receive()
                except (EOFError, OSError):
                    raise
                except Exception as error:
                    warnings.warn(f"an answer of the server of devices can't be read: {error!r}", stacklevel=1)
                    break
                self._note(message)
                del message
        with self._lock:
            self._has_ended = True
            left, self._asked = self._asked, {}
        for what, answer in left.values():
            answer.set_exception(self._lost(what))
        self._wire.shut()
        self._wire.close()

    def _note(self, message: Done | Failed) -> None:
        with self._lock:
            _, answer = self._asked.pop(message.number, (None, None))
        if answer is None:
            return  # its caller was interrupted
        if isinstance(message, Failed):
            answer.set_exception(unpack(message.error))
        else:
            assert isinstance(message.result, Reply)
            answer.set_result(message.result)

    def _lost(self, what: str) -> DeviceLost:
        if self._is_closed:
            return DeviceLost(f"lost {what}: the devices were closed meanwhile")
        return DeviceLost(
            f"lost {what}: the server of devices (pid {self.welcome.pid}) is gone. The next call connects to another "
            f"one, or starts it; {self._door.log} may tell why"
        )
