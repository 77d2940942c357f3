"""The door of a server of devices: where the one server of a data directory is found, and who may enter.

Here belong the folder, its locks, the socket's address and the secret. What is said at the door is that of
``shared_wire``.

Everything lies in ``<data>/.devices``, a folder of its user alone: ``lock``, which the server holds while it lives, so
that the kernel tells a living server from files that a killed one left behind; ``starting``, which whoever starts a
server holds meanwhile; ``door.json``, which names process, socket and secret once the server takes calls; the socket
itself, unless its path is too long for the system; ``server.log``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from panic_assets.errors import PanicError
from panic_assets.lake.errors import PartitionLocked
from panic_assets.lake.locks import acquire, locked, release

FOLDER = ".devices"
LONGEST_ADDRESS = 100
"""Bytes that the path of a socket may have: Linux takes 107 (unix(7)), macOS 103 (its sys/un.h)."""
_SOCKET = "server.sock"


class ServerTaken(PanicError):
    """Another process is the server of this data directory."""


class Notice(BaseModel):
    """What ``door.json`` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    pid: int = Field(gt=0)
    host: str
    address: str
    secret: str


class Door:
    """The files by which clients and the server of a data directory find one another; nothing is made by looking."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.folder = self.data / FOLDER
        self.log = self.folder / "server.log"
        self._lock, self._starting = self.folder / "lock", self.folder / "starting"
        self._notice = self.folder / "door.json"

    def notice(self) -> Notice | None:
        """Where the server is; None without one. One that was killed may have left its notice.

        Raises:
            PanicError: the server is on another machine.
        """
        try:
            notice = Notice.model_validate_json(self._notice.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        if notice.host != socket.gethostname():
            raise PanicError(
                f"{self._notice}: the server of this data directory runs on {notice.host} (pid {notice.pid}), and its "
                f"socket can't be reached from here. Run there, or stop it there, or delete the file if it is gone"
            )
        return notice

    def holder(self) -> int | None:
        """The process that is the server now, starting and ending ones included; None if there is none."""
        if not self._lock.exists():
            return None
        try:
            release(acquire(self._lock))
        except PartitionLocked as error:
            return error.holder
        return None

    @contextmanager
    def starting(self, seconds: float) -> Iterator[None]:
        """Be the only one that starts a server.

        Raises:
            PanicError: the folder is not safe, or another one has been starting for longer than so many seconds.
        """
        make_private(self.folder)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locked(self._starting, seconds))
            except PartitionLocked as error:
                raise PanicError(
                    f"{self._starting}: process {error.holder} has been starting a server of devices for more than "
                    f"{seconds:g} s; see {self.log}, and end that process if it hangs"
                ) from error
            yield

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Be the server; wait so long for another one to end. Afterwards, and before, nothing is left of any.

        Raises:
            ServerTaken: there is another one.
            PanicError: the folder is not safe.
        """
        make_private(self.folder)
        try:
            descriptor = acquire(self._lock, seconds)
        except PartitionLocked as error:
            raise ServerTaken(f"{self._lock}: process {error.holder} is the server of this data directory") from error
        try:
            self.shut()
            yield
        finally:
            self.shut()
            release(descriptor)

    def listen(self) -> socket.socket:
        """A listening socket at an address that no notice names yet. The caller is the server.

        Raises:
            PanicError: no folder for it is safe.
        """
        address = self._address()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
            os.chmod(address, 0o600)
            listener.listen(128)
        except BaseException:
            listener.close()
            raise
        return listener

    def announce(self) -> bytes:
        """Tell clients where the server is; gives the secret that they will know. The caller is the server."""
        secret = secrets.token_bytes(32)
        notice = Notice(pid=os.getpid(), host=socket.gethostname(), address=self._address(), secret=secret.hex())
        aside = self._notice.with_name(f".{self._notice.name}.{os.getpid()}")
        aside.unlink(missing_ok=True)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(notice.model_dump_json())
        os.replace(aside, self._notice)
        return secret

    def shut(self) -> None:
        """Take notice and socket away. The caller is the server."""
        self._notice.unlink(missing_ok=True)
        Path(self._address()).unlink(missing_ok=True)

    def _address(self) -> str:
        """Of the socket: in the folder, or where paths are shorter, in a folder named by the hash of this one."""
        near = str(self.folder / _SOCKET)
        if len(os.fsencode(near)) <= LONGEST_ADDRESS:
            return near
        name = f"panic-{os.getuid()}-{hashlib.blake2b(os.fsencode(self.folder), digest_size=8).hexdigest()}"
        for root in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
            if root and os.path.isdir(root) and len(os.fsencode(f"{root}/{name}/{_SOCKET}")) <= LONGEST_ADDRESS:
                make_private(Path(root, name))
                return f"{root}/{name}/{_SOCKET}"
        raise PanicError(f"{near} is too long for a socket, and so are paths in {tempfile.gettempdir()}; set TMPDIR")


def make_private(folder: Path) -> None:
    """Make a folder that only its user can enter, or see to it that an existing one is such.

    Raises:
        PanicError: it belongs to somebody else, or is none.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PanicError(f"{folder} must be a folder of the user who runs this; move it away")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
