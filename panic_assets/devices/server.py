"""A process that owns devices and computes for all who use a data directory, so that they share what is in memory.

Run as ``python -m panic_assets.devices.server DATA``, by ``reaching`` or by a person. Here belong the clients, the
lanes and the ends of the process. Which call is next is that of ``sharing``, where the server is found that of
``door``, what is said that of ``shared_wire``, which also says why nobody but its own user can use it.

A model that a client wants to be let go stays while another one uses it, and the pool of a device lets go of the
models that were not used for longest when its capacity demands it. The devices compute in processes of their own: one
that is lost raises for the clients whose calls it had, and the next call starts it again.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import itertools
import os
import queue
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing import AuthenticationError
from pathlib import Path
from types import FrameType

from panic_assets.devices.base import Device, DeviceLost
from panic_assets.devices.door import Door, ServerTaken
from panic_assets.devices.failures import pack
from panic_assets.devices.shared_wire import (
    Ask,
    ClientStatus,
    DeviceFacts,
    DeviceStatus,
    Hello,
    Refused,
    ServerStatus,
    Welcome,
    Withdraw,
    code_mark,
    prove,
    unlimit,
)
from panic_assets.devices.sharing import Desk, Job
from panic_assets.devices.wire import Done, Failed, Frame, Wire
from panic_assets.errors import PanicError
from panic_assets.paths import DATA_VARIABLE

IDLE_SECONDS = 300.0
TAKEN_STATUS = 3
"""Exit status where another process is the server already."""
LOG_BYTES = 4 * 1024**2
_LOOK_SECONDS = 0.5
_HANDSHAKE_SECONDS = 30.0
_TAKEOVER_SECONDS = 60.0


class Server:
    """Lets clients call devices.

    Args:
        devices: what it serves; whoever opened them closes them.
        door: where clients find it; the caller holds it.
        spec: what the devices were opened with, for people.
        idle_seconds: it ends after so long without a client.
    """

    def __init__(
        self, devices: Sequence[Device], door: Door, *, spec: str = "", idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._stations = [_Station(device) for device in devices]
        self._door, self._spec, self._idle_seconds = door, spec, idle_seconds
        self._started_at = datetime.now(UTC)
        self._lock = threading.Lock()
        self._clients: dict[int, _Client] = {}
        self._numbers = itertools.count()
        self._used_at = time.monotonic()
        self._code = code_mark()  # of what it runs, before anybody changes the files
        self._reason: str | None = None

    def run(self) -> str:
        """Take calls until nobody uses it for long, or it is told to stop; gives the reason.

        Raises:
            PanicError: no socket can be made.
        """
        for station in self._stations:
            station.start()
        with self._door.listen() as listener:
            listener.settimeout(_LOOK_SECONDS)
            secret = self._door.announce()
            while self._reason is None:
                with contextlib.suppress(TimeoutError):
                    end = listener.accept()[0]
                    threading.Thread(target=self._greet, args=(end, secret), daemon=True).start()
                shorten(self._door.log)
                self._look_whether_idle()
        self._door.shut()
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.wire.shut()
        return self._reason

    def stop(self, reason: str) -> None:
        """End soon; calls in flight are lost. Safe to use in a signal handler."""
        self._reason = self._reason or reason

    def status(self) -> ServerStatus:
        """What it has and does."""
        with self._lock:
            clients = list(self._clients.items())
        return ServerStatus(
            os.getpid(),
            self._spec,
            self._started_at,
            tuple(station.status() for station in self._stations),
            tuple(
                ClientStatus(client.pid, client.calls, sum(station.waiting(key) for station in self._stations))
                for key, client in clients
            ),
        )

    def _look_whether_idle(self) -> None:
        with self._lock:
            if self._clients:
                self._used_at = time.monotonic()
            elif time.monotonic() - self._used_at >= self._idle_seconds:
                self.stop(f"no client for {self._idle_seconds:g} s")

    def _greet(self, end: socket.socket, secret: bytes) -> None:
        """The thread of a connection: find out who is there and what is wanted."""
        wire = Wire(end)
        try:
            prove(end, secret, _HANDSHAKE_SECONDS, is_server=True)
            hello = wire.receive()
            unlimit(end)
            if not isinstance(hello, Hello):
                raise TypeError(f"a {type(hello).__name__} is no greeting")
            self._answer(hello, wire)
        except (AuthenticationError, EOFError, OSError):
            pass  # whoever that was is gone, or no client
        except Exception as error:
            print(f"a client can't be understood, and is sent away: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            wire.shut()
            wire.close()

    def _answer(self, hello: Hello, wire: Wire) -> None:
        if hello.wants == "status":
            wire.write(Wire.pack(self.status()))
        elif hello.wants == "stop":
            wire.write(Wire.pack(Welcome(os.getpid(), self._spec, ())))
            self.stop(f"process {hello.pid} wanted it")
        elif hello.code != self._code:
            self._refuse(wire)
        else:
            self._serve(_Client(hello.pid, wire))

    def _refuse(self, wire: Wire) -> None:
        with self._lock:
            others = sorted(client.pid for client in self._clients.values())
            if not others:
                self.stop("a client runs other code: this package, Python or torch changed since it or this began")
        in_use = f"; processes {', '.join(map(str, others))} use it" if others else ""
        reason = (
            f"the server of devices (pid {os.getpid()}) was started by other code than runs here (this package, Python "
            f"or torch changed since){in_use}. End those, or stop it; then run again"
        )
        wire.write(Wire.pack(Refused(reason, is_leaving=not others)))

    def _serve(self, client: _Client) -> None:
        """Take what a client sends until it is gone.

        Raises:
            EOFError: it is gone.
            OSError: the connection broke.
            Exception: whatever pickle raises for what it can't make sense of.
        """
        key = next(self._numbers)
        with self._lock:
            if self._reason is not None:
                return
            self._clients[key] = client
        try:
            client.send(Wire.pack(Welcome(os.getpid(), self._spec, tuple(s.facts for s in self._stations))))
            threading.Thread(target=client.write, daemon=True).start()
            while True:
                message = client.wire.receive()
                if isinstance(message, Ask):
                    client.calls += 1
                    self._stations[message.device].put(Job(key, message.number, message.call), client)
                elif isinstance(message, Withdraw):
                    for station in self._stations:
                        station.withdraw(key, message.number)
                del message  # its pictures are not kept while the client is silent
        finally:
            with self._lock:
                del self._clients[key]
                self._used_at = time.monotonic()
            client.send(None)
            for station in self._stations:
                station.forget(key)


class _Client:
    """A connected client. What it is told waits in a queue, so that one that does not listen delays no lane."""

    def __init__(self, pid: int, wire: Wire) -> None:
        self.pid, self.wire, self.calls = pid, wire, 0
        self._outbox: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()

    def send(self, frame: Frame | None) -> None:
        """Tell it; None for nothing more."""
        self._outbox.put(frame)

    def write(self) -> None:
        """The thread that does so."""
        with contextlib.suppress(OSError):  # it is gone, as the thread that receives will find
            while (frame := self._outbox.get()) is not None:
                self.wire.write(frame)
                del frame


class _Station:
    """A device, its desk and its lanes."""

    def __init__(self, device: Device) -> None:
        self.facts = DeviceFacts(device.name, device.hardware, device.capacity_gb, device.lanes)
        self._device, self._desk = device, Desk()
        self._changed = threading.Condition()
        self._clients: dict[int, _Client] = {}
        self._names: dict[str, str] = {}
        self._calls = self._failed = 0

    def start(self) -> None:
        """Begin to compute."""
        for lane in range(self.facts.lanes):
            threading.Thread(target=self._lane, name=f"{self.facts.name}, lane {lane}", daemon=True).start()

    def put(self, job: Job, client: _Client) -> None:
        """A call came."""
        with self._changed:
            self._clients[job.client] = client
            self._names[job.weights] = job.call.entry.name
            self._desk.put(job)
            self._changed.notify()

    def withdraw(self, client: int, number: int) -> None:
        """A client does not want a call any more."""
        with self._changed:
            self._desk.withdraw(client, number)

    def forget(self, client: int) -> None:
        """A client is gone."""
        with self._changed:
            self._desk.forget(client)
            self._clients.pop(client, None)

    def waiting(self, client: int) -> int:
        """How many calls of a client have not begun."""
        with self._changed:
            return self._desk.waiting(client)

    def status(self) -> DeviceStatus:
        """What it holds and does."""
        with self._changed:
            held = {self._names.get(key, key): memory for key, memory in self._desk.resident.items()}
            desk = self._desk
            return DeviceStatus(self.facts, held, desk.computing, desk.waiting(), self._calls, self._failed)

    def _lane(self) -> None:
        while True:
            with self._changed:
                while (job := self._desk.take()) is None:
                    self._changed.wait()
            frame, resident, failed = self._compute(job)
            with self._changed:
                self._desk.done(job, resident)
                self._calls, self._failed = self._calls + 1, self._failed + failed
                client = self._clients.get(job.client)
                self._changed.notify()  # what waited for these weights
            if client is not None:
                client.send(frame)
            del job, frame, client  # pictures are not kept while the lane waits

    def _compute(self, job: Job) -> tuple[Frame, dict[str, float] | None, bool]:
        """The answer, what is in memory now (None: not known), and whether it failed."""
        try:
            reply = self._device.call(job.call)
            return Wire.pack(Done(job.number, reply)), dict(reply.resident), False
        except BaseException as error:
            frame = Wire.pack(Failed(job.number, pack(error)))
            return frame, {} if isinstance(error, DeviceLost) else None, True


def shorten(log: Path, limit: int = LOG_BYTES) -> None:
    """Begin a log anew that is longer than so many bytes; the old one stays beside it, in the place of an older."""
    try:
        if log.stat().st_size <= limit:
            return
        shutil.copyfile(log, log.with_name(f"{log.name}.old"))
        os.truncate(log, 0)  # whoever has it open appends
    except OSError as error:
        print(f"{log} can't be shortened: {error}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the server of a data directory; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m panic_assets.devices.server", description="Serves devices.")
    parser.add_argument("data", type=Path, help="the data directory")
    parser.add_argument("--spec", default="auto", help="the devices, such as cpu or cuda:0,cuda:1")
    parser.add_argument("--capacity-gb", type=float, help="that the models of each device may take")
    parser.add_argument("--lanes", type=int, help="calls that each device takes at once")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS, help="it ends after so long without client")
    options = parser.parse_args(arguments)
    from panic_assets.devices.fleet import open_devices

    faulthandler.enable()
    os.environ[DATA_VARIABLE] = str(options.data.absolute())
    door = Door(options.data)
    try:
        with (
            door.held(_TAKEOVER_SECONDS),
            open_devices(
                options.spec, capacity_gb=options.capacity_gb, isolation="process", lanes=options.lanes
            ) as fleet,
        ):
            server = Server(fleet.devices, door, spec=options.spec, idle_seconds=options.idle_seconds)

            def told_to(number: int, frame: FrameType | None) -> None:
                server.stop(f"{signal.Signals(number).name} came")

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, told_to)
            _say(f"process {os.getpid()} serves {', '.join(device.name for device in fleet.devices)}")
            _say(f"process {os.getpid()} ends: {server.run()}")
    except ServerTaken as error:
        _say(str(error))
        return TAKEN_STATUS
    except PanicError as error:
        _say(str(error))
        return 1
    return 0


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
