"""Messages between two processes over a socket: who sends what, and how it becomes bytes.

Here belong the messages and the frames. Arrays travel beside the pickle (protocol 5) without being copied into it.
What a side does with a message is that of ``child`` (the parent's side) and ``worker``.

A frame is a count, the lengths of its parts, and the parts: the pickle first, then the buffers of its arrays.
"""

from __future__ import annotations

import contextlib
import pickle
import socket
import struct
import threading
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Literal

from panic_assets.devices.base import Call, Reply
from panic_assets.devices.failures import PackedError

Phase = Literal["loading", "computing"]
Frame = list[memoryview]


@dataclass(frozen=True)
class Description:
    """What a worker says of its device: the product name and the GiB that its models may take (None: no bound)."""

    hardware: str
    capacity_gb: float | None


@dataclass(frozen=True)
class Request:
    """Parent to worker. Without a call it asks for a :class:`Description`."""

    number: int
    call: Call | None = None


@dataclass(frozen=True)
class Progress:
    """Worker to parent: the request of this number has come so far."""

    number: int
    phase: Phase


@dataclass(frozen=True)
class Done:
    """Worker to parent: the result."""

    number: int
    result: Reply | Description


@dataclass(frozen=True)
class Failed:
    """Worker to parent: the error. A ``poisoned`` worker ends itself after this message."""

    number: int
    error: PackedError
    poisoned: bool = False


Message = Request | Progress | Done | Failed


class Wire:
    """One end of a socket. Any thread may write, one thread receives."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._writing = threading.Lock()

    @staticmethod
    def pack(message: object) -> Frame:
        """A message as the parts of a frame.

        Raises:
            Exception: whatever pickle raises for an object that it can't take; nothing was sent then.
        """
        buffers: list[pickle.PickleBuffer] = []
        content = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(content), *(buffer.raw() for buffer in buffers)]
        head = struct.pack(f"!I{len(parts)}Q", len(parts), *(part.nbytes for part in parts))
        return [memoryview(head), *parts]

    def write(self, frame: Frame) -> None:
        """Send a frame. Once begun it must be brought to its end: after an error the wire is of no more use.

        Raises:
            OSError: the other side is gone, or took nothing for longer than the socket's limit.
        """
        with self._writing:
            for part in frame:
                self._socket.sendall(part)

    def receive(self) -> Any:
        """The next message; arrays in it can be written to. Blocks.

        Raises:
            EOFError: the other side is gone.
            OSError: the connection broke.
            Exception: whatever pickle raises for what it can't make sense of.
        """
        (count,) = struct.unpack("!I", self._exactly(4))
        lengths = struct.unpack(f"!{count}Q", self._exactly(8 * count))
        content, *buffers = [self._exactly(length) for length in lengths]
        return pickle.loads(content, buffers=buffers)

    def has_news(self, seconds: float) -> bool:
        """Whether a message, or the end, came within so many seconds."""
        return bool(wait([self._socket], seconds))

    def shut(self) -> None:
        """Say to both sides that nothing will follow. What has arrived can still be received."""
        with contextlib.suppress(OSError):  # the other side was first
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _exactly(self, length: int) -> bytearray:
        content = bytearray(length)
        rest = memoryview(content)
        while rest:
            count = self._socket.recv_into(rest)
            if count == 0:
                raise EOFError("the other side is gone")
            rest = rest[count:]
        return content
