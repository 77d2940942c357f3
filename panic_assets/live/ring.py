"""One run on its way: call, archive, complete, rest, call the next model.

Here belongs the order of these steps and what is done about an error. Who may begin or end a run is up to ``runner``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from panic_assets.live.clock import Clock
from panic_assets.live.hub import Hub
from panic_assets.live.pacing import action_on, next_sequence, over_limit, rest_seconds, wait_seconds
from panic_assets.live.platforms.base import Answer, Call, LiveModel, Platform, PlatformError
from panic_assets.live.public import public_invocation
from panic_assets.live.records import EndReason, Invocation, Network, Run
from panic_assets.live.store import Store
from panic_assets.live.values import Archived, Value

#: Waits after an archive that did not take an output; it may expire where it lies.
_ARCHIVE_WAITS = (0.5, 2.0, 8.0)
_log = logging.getLogger(__name__)

Ending = tuple[EndReason, str | None]


class Archiving(Protocol):
    """The part of the archive that a ring needs."""

    async def keep(self, value: Value) -> Archived:
        """Store a medium for good."""

    async def read(self, key: str) -> bytes:
        """The stored bytes."""


class Boards(Protocol):
    """Split-flap boards that follow networks."""

    def show(self, invocation: Invocation) -> bool:
        """Let the boards of its network show it, without waiting for them; whether any will."""


@dataclass
class Step:
    """What a run does now, for whoever asks."""

    state: Literal["invoking", "archiving", "waiting", "retrying"] = "waiting"
    sequence_number: int | None = None
    next_at: datetime | None = None


@dataclass(frozen=True)
class Surroundings:
    """All that a ring works with; shared by the rings of a server."""

    store: Store
    catalog: Mapping[str, LiveModel]
    platforms: Mapping[str, Platform]
    archive: Archiving
    hub: Hub
    secret: Callable[[str], str]
    clock: Clock
    boards: Boards | None

    def tell(self, invocation: Invocation) -> None:
        """Let everyone who watches the network see the invocation as it is now."""
        data = public_invocation(invocation, self.catalog)
        self.hub.publish(f"network:{invocation.network_id}", "invocation", data)

    def may_resume(self, invocation: Invocation) -> bool:
        """Whether a run can go on from its last invocation without a call being billed twice."""
        model = self.catalog.get(invocation.model)
        platform = self.platforms.get(model.platform) if model else None
        if platform is None:
            return False
        return invocation.state != "invoking" or invocation.upstream_id is not None or not platform.bills


class _Ended(Exception):
    """The run is over, for a reason that is not an error of this program."""

    def __init__(self, reason: EndReason, error: str | None = None) -> None:
        super().__init__(reason)
        self.ending: Ending = (reason, error)


class Ring:
    """One run in this process. Everything it does is lost without harm when its task is cancelled."""

    def __init__(self, around: Surroundings, network: Network, run: Run, step: Step) -> None:
        self._around, self._network, self._run, self._step = around, network, run, step

    async def go(self, invocation: Invocation) -> Ending:
        """From ``invocation``, in whatever state a server left it, until the run is over; why it is."""
        around = self._around
        try:
            if invocation.sequence_number == 0 and invocation.state == "ready" and self._shown(invocation):
                await self._rest(self._network.pacing.first_rest)
            while True:
                if invocation.state in ("ready", "invoking"):
                    invocation = await self._invoke(invocation)
                written = invocation.state == "completed" and self._shown(invocation)
                invocation = await self._next(invocation, written)
                around.tell(invocation)
        except _Ended as end:
            return end.ending

    async def _invoke(self, invocation: Invocation) -> Invocation:
        """Call the model until it has answered or the policy gives up; the invocation, completed or failed."""
        store, policy = self._around.store, self._network.on_error
        resume = invocation.upstream_id if invocation.state == "invoking" else None
        if invocation.state == "invoking" and resume is None:  # of a server that died, on a platform that bills nothing
            await self._do(store.give_back, invocation.id, "cancelled", "the server was restarted")
            invocation = await self._read(invocation)
        while True:
            if resume is None:
                await self._do(store.claim, invocation.id)
                invocation = await self._read(invocation)
            self._now("invoking", invocation)
            self._around.tell(invocation)
            try:
                return await self._answered(invocation, resume)
            except PlatformError as error:
                resume = None
                action = action_on(policy, error, invocation.attempts)
                if action != "retry":
                    await self._do(store.fail, invocation.id, error.kind, str(error), error.cost)
                    invocation = await self._read(invocation)
                    self._around.tell(invocation)
                    if action == "stop" or invocation.sequence_number < len(self._run.models):
                        # Skipping in the first round would ask the very same again.
                        raise _Ended("failed", str(error)) from error
                    return invocation
                await self._do(store.give_back, invocation.id, error.kind, str(error), error.cost)
                self._now("retrying", invocation)
                await self._rest(wait_seconds(policy, error, invocation.attempts), "retrying")

    async def _answered(self, invocation: Invocation, resume: str | None) -> Invocation:
        """One attempt, from the call to the stored output.

        Raises:
            PlatformError: the platform failed, or gave what can't be archived.
        """
        around = self._around
        model = around.catalog.get(invocation.model)
        platform = around.platforms.get(model.platform) if model else None
        if model is None or platform is None:
            raise PlatformError("invalid", f"there is no model {invocation.model!r} any more; edit the network")

        async def started(upstream_id: str) -> None:
            await self._do(around.store.set_upstream, invocation.id, upstream_id)

        began = around.clock.now()
        value = await self._input(invocation)
        answer = await platform.invoke(Call(model, value, around.secret, started, around.clock, resume))
        latency = max((around.clock.now() - began).total_seconds(), 0.0)
        text, key = await self._output(invocation, model, answer)
        await self._do(around.store.complete, invocation.id, text, key, latency, answer.cost, answer.seed)
        invocation = await self._read(invocation)
        around.tell(invocation)
        return invocation

    async def _input(self, invocation: Invocation) -> Value:
        if invocation.input_key is None:
            return Value(invocation.input_medium, text=invocation.input_text)
        archived = await asyncio.to_thread(self._around.store.media, invocation.input_key)
        data = await self._around.archive.read(invocation.input_key)
        return Value(archived.medium, data=data, media_type=archived.media_type, key=archived.key)

    async def _output(self, invocation: Invocation, model: LiveModel, answer: Answer) -> tuple[str | None, str | None]:
        """(text, key of the archive) of an answer; a medium is archived before anyone is told of it."""
        value = answer.value
        if value.medium != model.gives:
            raise PlatformError(
                "invalid", f"{model.id} gave {value.medium}, its entry says {model.gives}", cost=answer.cost
            )
        if value.medium == "text":
            if not (value.text or "").strip():
                raise PlatformError("invalid", f"{model.id} gave an empty text", cost=answer.cost)
            return value.text, None
        self._now("archiving", invocation)
        for wait in (*_ARCHIVE_WAITS, None):
            try:
                archived = await self._around.archive.keep(value)
                await asyncio.to_thread(self._around.store.add_media, archived)
                return None, archived.key
            except Exception as error:
                if wait is None or getattr(error, "kind", None) == "permanent":
                    # Paid for and lost: another attempt would be paid again, so it is not one of the transient kinds.
                    raise PlatformError(
                        "internal", f"the output can't be archived: {error}", cost=answer.cost
                    ) from error
                _log.warning("invocation %s: not archived, trying again in %g s: %s", invocation.id, wait, error)
                await self._around.clock.sleep(wait)
        raise AssertionError("unreachable")

    async def _next(self, invocation: Invocation, board_written: bool) -> Invocation:
        """Rest, then the next invocation, ready."""
        around, run = self._around, await asyncio.to_thread(self._around.store.run, self._run.id)
        if run.state != "running":
            raise _Ended(run.end_reason or "stopped")
        now = around.clock.now()
        if reason := over_limit(self._network.limits, run, now):
            raise _Ended(reason)
        age = (now - run.started_at).total_seconds()
        await self._rest(rest_seconds(self._network.pacing, age, board_written))
        skipped = invocation.state == "failed"
        number = next_sequence(invocation.sequence_number, len(run.models), skipped)
        model = run.models[number % len(run.models)]
        if model not in around.catalog:
            raise _Ended("failed", f"there is no model {model!r} any more; edit the network")
        value = (
            Value("text", text=run.prompt)
            if skipped
            else Value(invocation.output_medium, text=invocation.output_text, key=invocation.output_key)
        )
        following = await asyncio.to_thread(
            around.store.add_invocation, run.id, number, model, value, around.catalog[model].gives
        )
        if following is None:
            raise _Ended("stopped")
        return following

    async def _rest(self, seconds: float, state: Literal["waiting", "retrying"] = "waiting") -> None:
        self._step.state = state
        self._step.next_at = self._around.clock.now() + timedelta(seconds=seconds)
        await self._around.clock.sleep(seconds)
        self._step.next_at = None

    def _now(self, state: Literal["invoking", "archiving", "retrying"], invocation: Invocation) -> None:
        self._step.state, self._step.sequence_number = state, invocation.sequence_number

    def _shown(self, invocation: Invocation) -> bool:
        """Whether a board will show it. A board that fails is no reason for a ring to end."""
        try:
            return self._around.boards is not None and self._around.boards.show(invocation)
        except Exception:
            _log.exception("boards of network %s", invocation.network_id)
            return False

    async def _read(self, invocation: Invocation) -> Invocation:
        return await asyncio.to_thread(self._around.store.invocation, invocation.id)

    async def _do(self, transition: Callable[..., bool], *values: object) -> None:
        """Make a step of the store; where it is refused, the run has ended meanwhile and nothing more may be done."""
        if not await asyncio.to_thread(transition, *values):
            raise _Ended("stopped")
