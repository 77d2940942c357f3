"""Telling people of failures: a line in a file of the data directory, and a message to a webhook if there is one.

Here belongs how a notice gets out. It never raises: who tells of a failure must not add another. The webhook's address
is a secret and is in no text of this module.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from panic_assets.errors import PanicError
from panic_assets.lake.locks import locked

WEBHOOK_VARIABLE = "PANIC_WEBHOOK"
LOG_NAME = "notifications.log"
#: A log that has grown to so many bytes becomes ``notifications.log.1``, of which there is one.
LARGEST_LOG = 1_000_000
_TRIES, _PAUSES = 3, (0.5, 1.0)
_TIMEOUT_SECONDS = 3.0
#: A sensor waits no longer than this, whatever a server does.
_PATIENCE_SECONDS = 10.0
_LOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Notice:
    """Something that people should know: ``text`` says it in words, ``facts`` for programs.

    ``kind``: ``run_failed`` or ``broken_files``.
    """

    kind: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def tell(notice: Notice, data: Path) -> str:
    """Write the notice to the log of the data directory and send it to ``$PANIC_WEBHOOK``.

    Returns:
        What became of the message: ``sent``, ``no webhook``, or why it could not be sent.
    """
    content = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "kind": notice.kind, "text": notice.text}
    content |= notice.facts
    _log(data, content)
    became = send(os.environ.get(WEBHOOK_VARIABLE, ""), content)
    if became not in ("sent", "no webhook"):
        _log(data, {"time": content["time"], "kind": "webhook_failed", "text": f"not sent: {became}"})
    return became


def send(address: str, content: Mapping[str, Any]) -> str:
    """POST JSON to an address, up to three times within ten seconds; what became of it, as `tell` returns it."""
    if not address.strip():
        return "no webhook"
    answer: list[str] = []
    # A thread, because a server that sends a byte now and then resets every timeout of a client.
    thread = threading.Thread(target=lambda: answer.append(_try(address.strip(), content)), daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    return answer[0] if answer else f"no answer within {_PATIENCE_SECONDS:.0f} s"


def _try(address: str, content: Mapping[str, Any]) -> str:
    problem = ""
    for number in range(_TRIES):
        try:
            import httpx2

            # Its log at level INFO has the address of every request, at DEBUG of every connection.
            logging.getLogger("httpx2").setLevel(logging.WARNING)
            logging.getLogger("httpcore2").setLevel(logging.WARNING)
            if urlsplit(address).scheme not in ("http", "https"):
                return f"{WEBHOOK_VARIABLE} is not an address that begins with http:// or https://"
            with httpx2.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client:
                status = client.post(address, json=dict(content)).status_code
            if status < 300:
                return "sent"
            problem = f"the server answered {status}"
            if status < 500 and status != 429:
                return problem
        except Exception as error:  # its text may hold the address, so its kind must do
            problem = f"{type(error).__name__}"
        if number < len(_PAUSES):
            time.sleep(_PAUSES[number])
    return f"{problem} ({_TRIES} times)"


def _log(data: Path, content: Mapping[str, Any]) -> None:
    path = data / LOG_NAME
    line = json.dumps(content, ensure_ascii=False, default=str) + "\n"
    try:
        with locked(data / f".{LOG_NAME}.lock", timeout=_LOCK_SECONDS):
            if path.exists() and path.stat().st_size + len(line) > LARGEST_LOG:
                path.replace(path.with_name(f"{LOG_NAME}.1"))
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
    except (OSError, PanicError, ValueError) as error:
        logging.getLogger(__name__).warning("%s can't be written: %s", path, error)
