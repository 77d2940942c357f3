"""The thin client by which training tells the platform what happens: an outbox on disk, and a thread that delivers it.

Here belongs all that a trainer needs and nothing of the platform: this package imports the standard library, httpx2 and
the root of our errors alone, so that a trainer elsewhere can take it along. What events mean is the platform's to say.
"""

from __future__ import annotations

from panic_assets.studies.client.client import Client, Status
from panic_assets.studies.client.errors import ClientError, OutboxError
from panic_assets.studies.client.outbox import Outbox, Refused
from panic_assets.studies.client.transports import HttpTransport, LocalTransport, Transport

__all__ = [
    "Client",
    "ClientError",
    "HttpTransport",
    "LocalTransport",
    "Outbox",
    "OutboxError",
    "Refused",
    "Status",
    "Transport",
]
