"""The runners: one for each network, from a prompt round the ring until something ends it.

Here belongs who may prompt when, and what ends a run. The way from one invocation to the next is in ``ring``, what the
store says decides: every step is made by a compare-and-set there, so that nothing late can revive what has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from panic_assets.errors import PanicError
from panic_assets.live.clock import Clock, SystemClock
from panic_assets.live.hub import Hub
from panic_assets.live.networks import require_runnable
from panic_assets.live.platforms.base import LiveModel, Platform
from panic_assets.live.public import public_run
from panic_assets.live.records import EndReason, Invocation, Network, Run
from panic_assets.live.ring import Archiving, Boards, Ring, Step, Surroundings
from panic_assets.live.store import AlreadyRunning, Store

PROMPT_CHARACTERS = 2000
#: How long a cancelled call may take to cancel what runs upstream.
_FAREWELL_SECONDS = 15.0
_log = logging.getLogger(__name__)

State = Literal["idle", "invoking", "archiving", "waiting", "retrying"]


class BadPrompt(PanicError):
    """A prompt that is blank or too long."""


@dataclass(frozen=True)
class Started:
    """A prompt that was taken: its run, with the invocation of the first model."""

    run: Run
    invocation: Invocation


@dataclass(frozen=True)
class LockedOut:
    """A prompt that came too soon: the run that goes on, and how long it can't be pre-empted."""

    run: Run
    seconds_left: float


@dataclass(frozen=True)
class RunnerStatus:
    """What a network does now. ``next_at``: when the next call begins, while it waits. ``run`` is the latest one."""

    state: State
    run: Run | None
    sequence_number: int | None
    next_at: datetime | None
    lockout_until: datetime | None


@dataclass
class _Going:
    """A run that goes on in this process."""

    run: Run
    step: Step
    task: asyncio.Task[None]


class Runners:
    """Runs networks; at most one run of each at a time. To be used from one event loop."""

    def __init__(
        self,
        store: Store,
        catalog: Mapping[str, LiveModel],
        platforms: Mapping[str, Platform],
        archive: Archiving,
        hub: Hub,
        secret: Callable[[str], str],
        clock: Clock | None = None,
        boards: Boards | None = None,
    ) -> None:
        self._store, self._catalog, self._hub = store, catalog, hub
        self._clock: Clock = clock or SystemClock()
        self._around = Surroundings(store, catalog, platforms, archive, hub, secret, self._clock, boards)
        self._going: dict[str, _Going] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def start(self, network_id: str, prompt: str, started_by: str) -> Started | LockedOut:
        """Begin a run; it pre-empts one that goes on, unless that one is still locked.

        ``started_by`` says who, such as ``user:ID`` or ``terminal:ID``.

        Raises:
            NotThere: there is no such network.
            NotRunnable: its ring can't run.
            BadPrompt: the prompt is blank or too long.
        """
        prompt = prompt.strip()
        if not prompt or len(prompt) > PROMPT_CHARACTERS:
            raise BadPrompt(f"a prompt has 1 to {PROMPT_CHARACTERS} characters, this one has {len(prompt)}")
        async with self._lock(network_id):
            network = await asyncio.to_thread(self._store.network, network_id)
            require_runnable(network.name, network.models, self._catalog)
            running = await self._running(network_id)
            if running is not None:
                left = (running.lockout_until - self._clock.now()).total_seconds()
                if left > 0:
                    return LockedOut(running, left)
                await self._end(network_id, running, "pre_empted")
            first = self._catalog[network.models[0]]
            try:
                run, genesis = await asyncio.to_thread(
                    self._store.begin_run, network_id, prompt, started_by, network.models, first.gives
                )
            except AlreadyRunning as other:  # another process serves the same network
                left = (other.run.lockout_until - self._clock.now()).total_seconds()
                return LockedOut(other.run, max(left, 0.0))
            self._tell(run)
            self._around.tell(genesis)
            self._go(network, run, genesis)
            return Started(run, genesis)

    async def stop(self, network_id: str, reason: EndReason = "stopped") -> bool:
        """End the run that goes on, and all it has begun; False if the network was idle."""
        async with self._lock(network_id):
            running = await self._running(network_id)
            return running is not None and await self._end(network_id, running, reason)

    async def stop_all(self) -> int:
        """End all runs; how many there were."""
        runs = await asyncio.to_thread(self._store.running_runs)
        return sum(await asyncio.gather(*(self.stop(run.network_id) for run in runs)))

    async def status(self, network_id: str) -> RunnerStatus:
        """What the network does now.

        Raises:
            NotThere: there is no such network.
        """
        going = self._going.get(network_id)
        run = await asyncio.to_thread(self._store.current_run, network_id)
        if going is None or run is None or going.run.id != run.id or run.state != "running":
            await asyncio.to_thread(self._store.network, network_id)
            return RunnerStatus("idle", run, None, None, None)
        step = going.step
        return RunnerStatus(step.state, run, step.sequence_number, step.next_at, run.lockout_until)

    async def recover(self) -> list[Run]:
        """Take up what a dead server left: runs go on where that bills nothing twice, others end as ``restarted``.

        Gives the runs that go on.
        """
        resumed = []
        for run in await asyncio.to_thread(self._store.running_runs):
            async with self._lock(run.network_id):
                network = await asyncio.to_thread(self._store.network, run.network_id)
                last = await asyncio.to_thread(self._store.last_invocations, run.id, 1)
                if last and self._around.may_resume(last[0]):
                    self._go(network, run, last[0])
                    resumed.append(run)
                else:
                    await self._end(run.network_id, run, "restarted")
        return resumed

    async def close(self) -> None:
        """Stop working, without ending anything: runs stay as they are, for `recover` at the next start."""
        goings = list(self._going.values())
        for going in goings:
            going.task.cancel()
        if goings:
            await asyncio.wait([going.task for going in goings], timeout=_FAREWELL_SECONDS)

    def _lock(self, network_id: str) -> asyncio.Lock:
        return self._locks.setdefault(network_id, asyncio.Lock())

    async def _running(self, network_id: str) -> Run | None:
        run = await asyncio.to_thread(self._store.current_run, network_id)
        return run if run is not None and run.state == "running" else None

    async def _end(self, network_id: str, run: Run, reason: EndReason, error: str | None = None) -> bool:
        """End a run in the store first, so that nothing it still does counts; then stop what it does."""
        ended = await asyncio.to_thread(self._store.end_run, run.id, reason, error)
        going = self._going.pop(network_id, None)
        if going is not None and going.task is not asyncio.current_task():
            going.task.cancel()
            _, late = await asyncio.wait([going.task], timeout=_FAREWELL_SECONDS)
            if late:
                _log.warning("run %s: its call did not let go within %g s", run.id, _FAREWELL_SECONDS)
        if ended:
            for invocation in await asyncio.to_thread(self._store.last_invocations, run.id, 1):
                self._around.tell(invocation)
            self._tell(await asyncio.to_thread(self._store.run, run.id))
        return ended

    def _go(self, network: Network, run: Run, invocation: Invocation) -> None:
        step = Step()
        ring = Ring(self._around, network, run, step)
        task = asyncio.create_task(self._round(ring, run, invocation), name=f"run {run.id}")
        self._going[network.id] = _Going(run, step, task)

    async def _round(self, ring: Ring, run: Run, invocation: Invocation) -> None:
        reason: EndReason = "failed"
        error: str | None = None
        try:
            reason, error = await ring.go(invocation)
        except asyncio.CancelledError:
            raise
        except Exception as problem:
            _log.exception("run %s ended by a defect", run.id)
            error = f"{type(problem).__name__}: {problem}"
        ended = await asyncio.to_thread(self._store.end_run, run.id, reason, error)
        if (going := self._going.get(run.network_id)) is not None and going.run.id == run.id:
            del self._going[run.network_id]
        if ended:
            self._tell(await asyncio.to_thread(self._store.run, run.id))

    def _tell(self, run: Run) -> None:
        data: dict[str, Any] = public_run(run)
        self._hub.publish(f"network:{run.network_id}", "run", data)
