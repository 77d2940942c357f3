"""Models on Replicate: a prediction is begun, asked after until it is done, and cancelled when nobody waits for it.

Here belongs the life of a prediction. What goes in and comes out of one is the business of ``replicate_values``.

Beginning a prediction costs money and is never repeated here. Asking after it costs nothing, so that a broken
connection or a busy server in between is borne, within bounds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from panic_assets.live.clock import Clock
from panic_assets.live.platforms.base import Answer, Call, PlatformError
from panic_assets.live.platforms.faults import kind_of_failure
from panic_assets.live.platforms.http import Key, Service, base_address, read_key
from panic_assets.live.platforms.replicate_values import output_value, target
from panic_assets.live.platforms.settings import KEY_NAMES, ReplicateSettings
from panic_assets.live.values import Value

USUAL_ADDRESS, ADDRESS_VARIABLE = "https://api.replicate.com/v1", "PANIC_REPLICATE_URL"
FIRST_WAIT, WAIT_FACTOR, LONGEST_WAIT = 0.25, 1.5, 5.0
REQUEST_SECONDS, CANCEL_SECONDS = 30.0, 5.0
VERSION_LIFE = timedelta(hours=1)
_GET_TRIES, _FAILURES_BORNE = 3, 8
_DONE = frozenset({"succeeded", "failed", "canceled", "aborted"})
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PATH = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


@dataclass
class _Waits:
    """Pauses that grow, and the time after which no more are made."""

    clock: Clock
    deadline: datetime
    next: float = FIRST_WAIT

    @property
    def is_over(self) -> bool:
        return self.clock.now() >= self.deadline

    async def pause(self, at_least: float = 0.0) -> None:
        left = (self.deadline - self.clock.now()).total_seconds()
        await self.clock.sleep(max(0.0, min(max(self.next, at_least), left)))
        self.next = min(LONGEST_WAIT, self.next * WAIT_FACTOR)


class Replicate:
    """See :class:`panic_assets.live.platforms.base.Platform`. ``url`` is where the API begins."""

    name, bills = "replicate", True

    def __init__(self, url: str | None = None) -> None:
        self._service = Service(self.name, base_address(url, ADDRESS_VARIABLE, USUAL_ADDRESS))
        self.url = self._service.address
        self._versions: dict[str, tuple[str, datetime]] = {}

    async def invoke(self, call: Call) -> Answer:
        """See :class:`panic_assets.live.platforms.base.Platform`.

        A prediction to resume that is not there any more, was cancelled or lost its output is begun anew.
        """
        asked = ReplicateSettings.model_validate(call.model.settings)
        if asked.gives_address:
            return _address_of(call)
        key = read_key(call.secret, KEY_NAMES[self.name])
        with self._service.hiding(key):
            return await self._answer(call, asked, key)

    async def close(self) -> None:
        """See :class:`panic_assets.live.platforms.base.Platform`; cancellations under way are waited for."""
        await self._service.close()

    async def _answer(self, call: Call, asked: ReplicateSettings, key: Key) -> Answer:
        waits = _Waits(call.clock, call.clock.now() + timedelta(seconds=call.model.timeout_seconds))
        prediction = await self._resumed(call, key, waits) or await self._new(call, asked, key, waits)
        cost = _cost(call, asked, prediction)
        status, identifier = prediction["status"], prediction["id"]
        if status != "succeeded":
            words = str(prediction.get("error") or f"the prediction was {status}")
            kind = "cancelled" if status == "canceled" else kind_of_failure(words)
            raise self._service.failed(kind, f"{call.model.id} {status}: {words}", key, cost)
        try:
            return Answer(output_value(call.model, asked, prediction.get("output")), cost, identifier)
        except PlatformError as error:
            error.cost = cost
            raise

    async def _resumed(self, call: Call, key: Key, waits: _Waits) -> dict[str, Any] | None:
        """The finished prediction that was begun before, None if nothing can be had from it."""
        if call.resume is None or not _IDENTIFIER.fullmatch(call.resume):
            return None
        prediction = await self._finished(call, key, call.resume, waits)
        is_lost = prediction is not None and (
            prediction["status"] in ("canceled", "aborted")
            or (prediction["status"] == "succeeded" and prediction.get("output") is None)
        )
        return None if is_lost else prediction

    async def _new(self, call: Call, asked: ReplicateSettings, key: Key, waits: _Waits) -> dict[str, Any]:
        """Begin a prediction and wait for its end. If the caller goes meanwhile, what was begun is cancelled."""
        path, given = target(call, asked)
        version = asked.version or await self._version(path, key, waits)
        beginning = self._service.in_background(self._begin(path, version, given, key), REQUEST_SECONDS + 1)
        try:
            identifier = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await self._give_up(self._cancel_begun(beginning, key), REQUEST_SECONDS + CANCEL_SECONDS)
            raise
        finished = await self._finished(call, key, identifier, waits, is_new=True)
        if finished is None:
            raise PlatformError("invalid", f"{self.name} does not know the prediction {identifier} that it began")
        return finished

    async def _begin(self, path: str, version: str, given: Mapping[str, Any], key: Key) -> str:
        body = {"version": version, "input": given}
        reply = await self._service.ask("POST", "/predictions", key, REQUEST_SECONDS, body)
        if reply.status_code in (404, 410, 422):
            self._versions.pop(path, None)  # it may be the version that is gone
        content = self._service.json(reply, key)
        identifier = content.get("id") if isinstance(content, Mapping) else None
        if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
            raise self._service.misshapen("no id", content, key)
        return identifier

    async def _finished(
        self, call: Call, key: Key, identifier: str, waits: _Waits, is_new: bool = False
    ) -> dict[str, Any] | None:
        """The prediction when it is done, cancelled if nobody will see that; None if there is none."""
        try:
            if is_new:
                await call.started(identifier)
                await waits.pause()
            return await self._followed(call, key, identifier, waits)
        except BaseException as error:
            if not (isinstance(error, PlatformError) and error.kind == "auth"):  # else nothing can be asked
                await self._give_up(self._cancel(identifier, key), CANCEL_SECONDS)
            raise

    async def _followed(self, call: Call, key: Key, identifier: str, waits: _Waits) -> dict[str, Any] | None:
        failures = 0
        while True:
            pause = 0.0
            try:
                reply = await self._service.ask("GET", f"/predictions/{identifier}", key, REQUEST_SECONDS)
                if reply.status_code == 404:
                    return None
                content = self._service.json(reply, key)
                failures = 0
            except PlatformError as error:
                failures += 1
                if error.kind not in ("transient", "timeout", "quota") or failures > _FAILURES_BORNE:
                    raise
                content, pause = {"status": "not told"}, error.retry_after or 0.0
            if not isinstance(content, Mapping) or not isinstance(content.get("status"), str):
                raise self._service.misshapen("no status", content, key)
            if content["status"] in _DONE:
                return {**content, "id": identifier}
            if waits.is_over:
                limit = call.model.timeout_seconds
                what = f"{call.model.id} was not done after {limit:g} seconds ({content['status']}), and was cancelled"
                raise PlatformError("timeout", f"{self.name}: {what}. Raise timeout_seconds of the model.")
            await waits.pause(pause)

    async def _version(self, path: str, key: Key, waits: _Waits) -> str:
        """The latest version of a model, kept for an hour."""
        if not _PATH.fullmatch(path):
            raise PlatformError("invalid", f"{self.name}: {path!r} is no path such as owner/model")
        now = waits.clock.now()
        if path in self._versions and now < self._versions[path][1]:
            return self._versions[path][0]
        content = await self._read(f"/models/{path}", key, waits)
        try:
            version = str(content["latest_version"]["id"])
        except (KeyError, TypeError):
            raise self._service.misshapen(f"no latest_version.id of {path}", content, key) from None
        self._versions[path] = (version, now + VERSION_LIFE)
        return version

    async def _read(self, path: str, key: Key, waits: _Waits) -> Any:
        """What a GET gives, asked again a few times where the server or the way to it fails."""
        for tries_left in reversed(range(_GET_TRIES)):
            try:
                return self._service.json(await self._service.ask("GET", path, key, REQUEST_SECONDS), key)
            except PlatformError as error:
                if error.kind not in ("transient", "timeout") or not tries_left or waits.is_over:
                    raise
                await waits.pause()
        raise AssertionError("a try is left or an error was raised")

    async def _cancel(self, identifier: str, key: Key) -> None:
        await self._service.ask("POST", f"/predictions/{identifier}/cancel", key, CANCEL_SECONDS)

    async def _cancel_begun(self, beginning: asyncio.Task[str], key: Key) -> None:
        await self._cancel(await beginning, key)

    async def _give_up(self, work: Any, seconds: float) -> None:
        """Have something cancelled; whoever waits here may be cancelled once more, and it goes on all the same."""
        await asyncio.wait({self._service.in_background(work, seconds)}, timeout=CANCEL_SECONDS)


def _address_of(call: Call) -> Answer:
    if call.input.url is None:
        raise PlatformError("invalid", f"{call.model.id} gives the web address of its input, which has none any more")
    return Answer(Value("text", text=call.input.url), 0.0)


def _cost(call: Call, asked: ReplicateSettings, prediction: Mapping[str, Any]) -> float | None:
    metrics = prediction.get("metrics")
    seconds = metrics.get("predict_time") if isinstance(metrics, Mapping) else None
    if asked.price_per_second is not None and isinstance(seconds, int | float):
        return seconds * asked.price_per_second
    return call.model.cost_per_call if prediction["status"] == "succeeded" else None
