"""What can go wrong in the client that no waiting mends.

Here belong errors that a caller sees. That the platform is away is none of them: events wait in the outbox.
"""

from __future__ import annotations

from panic_assets.errors import PanicError


class ClientError(PanicError):
    """The client is used in a way that can't work: a value without JSON, an unknown trial, a client that was closed."""


class OutboxError(PanicError):
    """The file of the outbox can't be written or read: a full disk, a damaged file, one of a newer version."""
