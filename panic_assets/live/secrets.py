"""The keys of platforms: taken from the environment, or kept encrypted in the live store.

Here belongs how they are encrypted and found; no key is in an error, a log or a representation made here. What
encrypts them lies apart from the store, so that a copy of the database alone gives nothing away.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from panic_assets.errors import PanicError
from panic_assets.live.platforms.base import PlatformError
from panic_assets.paths import data_dir

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

KEY_VARIABLE = "PANIC_SECRETS_KEY"
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,99}")
_VALUE = re.compile(r"[!-~]{1,4000}")


class SecretStore(Protocol):
    """What keeps ciphertexts, such as the live store."""

    def put_secret(self, name: str, ciphertext: bytes) -> None:
        """Keep it, in place of an earlier one."""

    def secret(self, name: str) -> bytes | None:
        """What is kept under a name."""

    def secret_names(self) -> list[str]:
        """The names that something is kept under."""

    def delete_secret(self, name: str) -> object:
        """Keep it no longer."""


class Secrets:
    """Keys by name, such as OPENAI_API_KEY. A variable of the environment of that name goes before the store.

    Args:
        store: where ciphertexts are kept; None for the environment alone.
        key_file: what they are encrypted with, unless $PANIC_SECRETS_KEY holds that; made, for its owner alone, when
            first needed. None for ``secrets.key`` in the data directory.
        environment: None for that of this process.
    """

    def __init__(
        self,
        store: SecretStore | None = None,
        key_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._store, self._key_file = store, key_file or data_dir() / "secrets.key"
        self._environment = os.environ if environment is None else environment

    def get(self, name: str) -> str:
        """The key of that name.

        Raises:
            PlatformError: of kind auth: there is none, or it can't be decrypted.
        """
        given = self._environment.get(name, "").strip()
        if given:
            return given
        ciphertext = self._store.secret(name) if self._store is not None and _NAME.fullmatch(name) else None
        if ciphertext is None:
            raise PlatformError("auth", f"there is no {name}; set that environment variable, or store it as a secret")
        from cryptography.fernet import InvalidToken

        try:
            return self._cipher(may_make=False).decrypt(ciphertext).decode()
        except InvalidToken:
            what = f"{name} was encrypted with another key than that of ${KEY_VARIABLE} or {self._key_file.name}"
            raise PlatformError("auth", f"{what}. Bring that back, or store {name} again.") from None
        except PanicError as error:
            raise PlatformError("auth", f"{name} can't be decrypted: {error}") from None

    def put(self, name: str, value: str) -> None:
        """Keep a key, in place of an earlier one.

        Raises:
            PanicError: the name or the key has letters that none has, nothing keeps it, or the key file is unfit.
        """
        value = value.strip()
        if not _NAME.fullmatch(name):
            raise PanicError(f"{name!r} is no name of a secret; write capitals, digits and _, as in OPENAI_API_KEY")
        if not _VALUE.fullmatch(value):
            raise PanicError(f"what is given for {name} is no key: it is empty, too long or has odd letters")
        if self._store is None:
            raise PanicError(f"{name} can't be kept without a store; set that environment variable")
        self._store.put_secret(name, self._cipher(may_make=True).encrypt(value.encode()))

    def delete(self, name: str) -> None:
        """Keep a key no longer; that of the environment stays."""
        if self._store is not None:
            self._store.delete_secret(name)

    def origins(self, names: list[str]) -> dict[str, Literal["environment", "store"] | None]:
        """Where the key of each name would come from; None: there is none."""
        kept = set(self._store.secret_names()) if self._store is not None else set()
        return {
            name: "environment" if self._environment.get(name, "").strip() else "store" if name in kept else None
            for name in names
        }

    def _cipher(self, may_make: bool) -> Fernet:
        from cryptography.fernet import Fernet

        given = self._environment.get(KEY_VARIABLE, "").strip()
        where = f"${KEY_VARIABLE}" if given else str(self._key_file)
        try:
            return Fernet(given or self._kept_key(may_make))
        except ValueError:
            raise PanicError(
                f"{where} holds no key for secrets: 32 bytes as 44 letters of URL-safe base64. If it is lost, remove "
                "this and store the secrets again."
            ) from None

    def _kept_key(self, may_make: bool) -> bytes:
        """What the key file holds.

        Raises:
            PanicError: it is not there and may not be made, or others than its owner may read it.
        """
        from cryptography.fernet import Fernet

        if may_make and not self._key_file.exists():
            self._key_file.parent.mkdir(parents=True, exist_ok=True)
            part = self._key_file.with_name(f"{self._key_file.name}.{os.getpid()}.part")
            try:
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(Fernet.generate_key())
                    file.flush()
                    os.fsync(file.fileno())
                os.link(part, self._key_file)  # whole, or not at all; whoever comes second takes the first one's
            except FileExistsError:
                pass
            finally:
                part.unlink(missing_ok=True)
        try:
            if os.name == "posix" and stat.S_IMODE(self._key_file.stat().st_mode) & 0o077:
                raise PanicError(f"{self._key_file} may be read by others; say chmod 600, and change what it encrypts")
            return self._key_file.read_bytes().strip()
        except OSError as error:
            raise PanicError(f"{self._key_file} can't be read ({error.strerror}); it holds what decrypts") from None


__all__ = ["KEY_VARIABLE", "SecretStore", "Secrets"]
