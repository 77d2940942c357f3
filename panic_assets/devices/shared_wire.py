"""What clients and a server of devices say to one another, and how they come to trust each other.

Here belong the messages and the handshake. The frames are those of ``wire``, and so are the answers ``Done`` and
``Failed``. What follows from a message is the business of ``server`` and ``shared``.

Messages are pickles, and whoever can send a pickle can run code. So they travel only between processes of one user:
the socket and the secret lie in folders that nobody else can enter, and both sides prove that they know the secret
(``multiprocessing.connection``'s challenge, an HMAC) before the first pickle is read.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Literal

from panic_assets.devices.base import Call

_LIBRARIES = ("torch", "transformers", "diffusers", "numpy")


@dataclass(frozen=True)
class Hello:
    """Client to server, first of all. ``code`` is the client's ``code_mark``."""

    wants: Literal["devices", "status", "stop"]
    pid: int
    code: str


@dataclass(frozen=True)
class DeviceFacts:
    """A device of the server, as of :class:`panic_assets.devices.base.Device`."""

    name: str
    hardware: str
    capacity_gb: float | None
    lanes: int


@dataclass(frozen=True)
class Welcome:
    """Server to client: what it has. Without devices, it is about to end since the client wanted that."""

    pid: int
    spec: str
    devices: tuple[DeviceFacts, ...]


@dataclass(frozen=True)
class Refused:
    """Server to client: it runs other code. ``is_leaving``: nobody uses it, and it makes room for another one."""

    reason: str
    is_leaving: bool


@dataclass(frozen=True)
class Ask:
    """Client to server: a call for the device of that place. ``Done`` or ``Failed`` of that number answer it."""

    number: int
    device: int
    call: Call


@dataclass(frozen=True)
class Withdraw:
    """Client to server: the answer of that number is not wanted any more."""

    number: int


@dataclass(frozen=True)
class DeviceStatus:
    """A device, what it holds (GiB by name of the model that was last called with those weights) and does."""

    facts: DeviceFacts
    resident: dict[str, float]
    computing: int
    waiting: int
    calls: int
    failed: int


@dataclass(frozen=True)
class ClientStatus:
    """A connected client: its process, the calls that it has sent, and those that have not begun."""

    pid: int
    calls: int
    waiting: int


@dataclass(frozen=True)
class ServerStatus:
    """A server: its process, what its devices were opened with, devices and clients. ``started_at`` is UTC."""

    pid: int
    spec: str
    started_at: datetime
    devices: tuple[DeviceStatus, ...]
    clients: tuple[ClientStatus, ...]


@cache
def code_mark() -> str:
    """A digest of all that computes: this package's models and devices, Python, the libraries' versions.

    A server lives longer than its clients. One that was started before the code changed must not compute for clients
    that came after.
    """
    digest = hashlib.blake2b(sys.version.encode(), digest_size=16)
    here = Path(__file__).parent
    for path in sorted(path for folder in (here, here.parent / "models") for path in folder.rglob("*.py")):
        digest.update(b"\0".join((path.name.encode(), path.read_bytes())))
    for library in _LIBRARIES:
        try:
            digest.update(version(library).encode())
        except PackageNotFoundError:
            digest.update(b"none")
    return digest.hexdigest()


def prove(end: socket.socket, secret: bytes, seconds: float, *, is_server: bool) -> None:
    """Both sides show that they know the secret. Nothing that is read is unpickled.

    The limit of so many seconds for each step stays; ``unlimit`` takes it away.

    Raises:
        AuthenticationError: the other side does not know it.
        BlockingIOError: the other side is silent for so long.
        EOFError: the other side is gone.
        OSError: the connection broke.
    """
    _limit(end, seconds)
    connection = Connection(os.dup(end.fileno()))
    try:
        steps = (deliver_challenge, answer_challenge)
        for step in steps if is_server else reversed(steps):
            step(connection, secret)
    finally:
        connection.close()


def unlimit(end: socket.socket) -> None:
    """From now on the other side may be silent for any time."""
    _limit(end, 0)


def _limit(end: socket.socket, seconds: float) -> None:
    """Not ``settimeout``, which would make the descriptor non-blocking; the struct is C's timeval, 0 is no limit."""
    value = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        end.setsockopt(socket.SOL_SOCKET, option, value)
