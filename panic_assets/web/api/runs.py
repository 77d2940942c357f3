"""Prompts and what came of them: runs and their invocations, and what a network does now.

Here belong starting, stopping and reading; events as they happen are in ``streams``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query, Response

from panic_assets.live.public import public_invocation, public_run, stamp
from panic_assets.live.records import Network, Run
from panic_assets.live.runner import LockedOut
from panic_assets.live.store import NotThere
from panic_assets.web.api.routing import Id, Limit, router
from panic_assets.web.api.shapes import (
    InvocationOut,
    Invocations,
    Prompt,
    Prompted,
    RunOut,
    RunWithInvocations,
    StatusOut,
    Stopped,
)
from panic_assets.web.errors import Problem, too_many
from panic_assets.web.live import Live
from panic_assets.web.security.callers import Caller, Known, Room, not_yours, own_network, seen_network

runs = router("runs")
After = Annotated[int, Query(ge=-1, le=2**31 - 1, description="those after that sequence number")]
Before = Annotated[int | None, Query(ge=0, le=2**31 - 1, description="those with numbers below")]


@runs.post(
    "/api/networks/{network_id}/prompts",
    status_code=201,
    responses={409: {"headers": {"Retry-After": {"schema": {"type": "integer"}}}}},
)
async def prompt(network_id: Id, given: Prompt, live: Room, caller: Known, response: Response) -> Prompted:
    """Begin a run. While another is locked the answer is 409, with how long it stays so."""
    return await start(live, caller, network_id, given.prompt)


async def start(live: Live, caller: Caller, network_id: str, text: str) -> Prompted:
    """Begin a run for the caller.

    Raises:
        NotThere: there is no such network, or the caller may not see it.
        Problem: 403: it is not the caller's to prompt. 409: it is locked. 429: too many prompts.
        NotRunnable: its ring can't run.
        BadPrompt: blank or too long.
    """
    wait = live.prompts.wait(caller.address)
    if wait:
        raise too_many("prompts", wait)
    network = await live.thread(live.store.network, network_id)
    may = caller.owns(network, "prompt") or (caller.terminal is not None and caller.terminal.lets_into(network_id))
    if not may:
        raise not_yours("network") if caller.sees(network) else NotThere("network", network_id)
    started = await live.runners.start(network_id, text, caller.name)
    if isinstance(started, LockedOut):
        left = started.seconds_left
        raise Problem(
            409,
            f"this network takes its next prompt in {left:.0f} s",
            "wait until then",
            {"Retry-After": str(max(int(-(-left // 1)), 1))},
            seconds_left=round(left, 3),
        )
    invocation = InvocationOut(**public_invocation(started.invocation, live.catalog))
    return Prompted(run=shown_run(started.run, network, caller), invocation=invocation)


@runs.post("/api/networks/{network_id}/stop")
async def stop(network_id: Id, live: Room, caller: Known) -> Stopped:
    """End what runs; 0 if nothing did."""
    await own_network(live, caller, network_id)
    return Stopped(stopped=int(await live.runners.stop(network_id)))


@runs.post("/api/stop-all")
async def stop_all(live: Room) -> Stopped:
    """End all runs of all networks."""
    return Stopped(stopped=await live.runners.stop_all())


@runs.get("/api/networks/{network_id}/status")
async def status(network_id: Id, live: Room, caller: Known) -> StatusOut:
    """What the network does now."""
    network = await seen_network(live, caller, network_id)
    now = await live.runners.status(network_id)
    left = 0.0
    if now.state != "idle" and now.lockout_until is not None:
        left = max((now.lockout_until - live.clock.now()).total_seconds(), 0.0)
    return StatusOut(
        state=now.state,
        run=shown_run(now.run, network, caller) if now.run else None,
        sequence_number=now.sequence_number,
        next_at=stamp(now.next_at),
        lockout_seconds_left=round(left, 3),
        viewers=live.hub.viewers(f"network:{network_id}"),
    )


@runs.get("/api/networks/{network_id}/runs")
async def list_runs(
    network_id: Id, live: Room, caller: Known, limit: Limit = 50, before: Before = None
) -> list[RunOut]:
    """The runs of a network, the latest first."""
    network = await seen_network(live, caller, network_id)
    found = await live.thread(live.store.runs, network_id, limit, before)
    return [shown_run(run, network, caller) for run in found]


@runs.get("/api/networks/{network_id}/runs/current")
async def current_run(
    network_id: Id, live: Room, caller: Known, after: After = -1, limit: Limit = 100
) -> RunWithInvocations:
    """The latest run, whether or not it goes on, with a page of its invocations."""
    network = await seen_network(live, caller, network_id)
    run = await live.thread(live.store.current_run, network_id)
    if run is None:
        raise Problem(404, f"network {network_id} has had no run yet", "prompt it")
    return await _with_invocations(live, run, network, caller, after, limit)


@runs.get("/api/runs/{run_id}")
async def show_run(run_id: Id, live: Room, caller: Known, after: After = -1, limit: Limit = 100) -> RunWithInvocations:
    """One run, with a page of its invocations."""
    run, network = await seen_run(live, caller, run_id)
    return await _with_invocations(live, run, network, caller, after, limit)


@runs.get("/api/runs/{run_id}/invocations")
async def list_invocations(run_id: Id, live: Room, caller: Known, after: After = -1, limit: Limit = 100) -> Invocations:
    """A page of the invocations of a run, by sequence number."""
    await seen_run(live, caller, run_id)
    return await _page(live, run_id, after, limit)


async def seen_run(live: Live, caller: Caller, run_id: str) -> tuple[Run, Network]:
    """The run and its network, if the caller may know of them.

    Raises:
        NotThere: there is none, or its network is not the caller's to see.
    """
    run = await live.thread(live.store.run, run_id)
    network = await live.thread(live.store.network, run.network_id)
    if not caller.sees(network):
        raise NotThere("run", run_id)
    return run, network


def shown_run(run: Run, network: Network, caller: Caller) -> RunOut:
    """A run as the caller may see it."""
    inner: dict[str, Any] = {}
    if caller.owns(network, "read"):
        inner = {name: asdict(run)[name] for name in ("cost", "error", "started_by")}
    return RunOut(**public_run(run), **inner)


async def _with_invocations(
    live: Live, run: Run, network: Network, caller: Caller, after: int, limit: int
) -> RunWithInvocations:
    page = await _page(live, run.id, after, limit)
    return RunWithInvocations(**shown_run(run, network, caller).model_dump(), **dict(page))


async def _page(live: Live, run_id: str, after: int, limit: int) -> Invocations:
    found = await live.thread(live.store.invocations, run_id, after, limit + 1)
    page = [InvocationOut(**public_invocation(invocation, live.catalog)) for invocation in found[:limit]]
    return Invocations(invocations=page, next_after=page[-1].sequence_number if len(found) > limit else None)
