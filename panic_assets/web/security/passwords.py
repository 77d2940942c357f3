"""Passwords: hashing and checking them, off the event loop and few at a time.

Here belongs argon2; who may try how often is in ``login``.
"""

from __future__ import annotations

import asyncio

from panic_assets.errors import PanicError

SHORTEST, LONGEST = 12, 1000
#: Each takes 64 MiB for a moment: a flood of logins must not take the memory of the rings.
_AT_ONCE = 2


class BadPassword(PanicError):
    """A password that can't be taken."""


class Passwords:
    """Hashes and checks passwords by argon2id."""

    def __init__(self) -> None:
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher

        self._hash = PasswordHash((Argon2Hasher(),))
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._of_nobody: str | None = None

    async def hashed(self, password: str) -> str:
        """What is stored of a password.

        Raises:
            BadPassword: it is too short or too long.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise BadPassword(f"a password has {SHORTEST} to {LONGEST} characters, this one has {len(password)}")
        async with self._turn:
            return await asyncio.to_thread(self._hash.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the one; ``password_hash`` None, for nobody's account, takes as long and is never right."""
        async with self._turn:
            if password_hash is None and self._of_nobody is None:
                self._of_nobody = await asyncio.to_thread(self._hash.hash, "nobody's password")
            if len(password) > LONGEST:
                password = ""
            known = password_hash or self._of_nobody or ""
            right = await asyncio.to_thread(self._hash.verify, password, known)
            return right and password_hash is not None
