"""Any order of prompts, stops, jumps of time, failures and restarts keeps what must always hold of runs."""

from __future__ import annotations

import asyncio
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.live.platforms.base import Answer, Call, PlatformError
from panic_assets.live.records import Limits
from panic_assets.live.runner import LockedOut, Started
from panic_assets_tests.live.rings import Stage, echo, stage

LOCKOUT = 20.0
kinds = ["transient", "timeout", "auth", "moderation", "invalid"]
moves = st.lists(
    st.one_of(
        st.tuples(st.just("prompt"), st.integers(0, 1)),
        st.tuples(st.just("stop"), st.integers(0, 1)),
        st.tuples(st.just("jump"), st.sampled_from([0.5, 1.0, 3.0, 19.0, 30.0, 900.0])),
        st.tuples(st.just("fail"), st.sampled_from(kinds)),
        st.tuples(st.just("hang"), st.booleans()),
        st.tuples(st.just("restart"), st.booleans()),
    ),
    max_size=14,
)


class Platform:
    """Answers, fails as often as it was told, or hangs until it no longer shall."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, call: Call) -> Answer:
        await self.free.wait()
        if self.failures:
            raise PlatformError(self.failures.pop(0), "as told")  # type: ignore[arg-type]
        return await echo(call)


def check(on: Stage, networks: list[str]) -> None:
    """What holds whenever nothing is under way but calls that hang."""
    running = on.store.running_runs()
    assert len({run.network_id for run in running}) == len(running), "one run of a network at a time"
    for network in networks:
        for run in on.store.runs(network):
            rows = on.store.invocations(run.id)
            open_rows = [row for row in rows if row.state in ("ready", "invoking")]
            assert (run.state == "ended") == (run.end_reason is not None)
            assert len(open_rows) <= (run.state == "running"), "nothing of an ended run is open"
            assert open_rows in ([], rows[-1:])
            assert run.completed == sum(row.state == "completed" for row in rows)
            assert abs(run.cost - sum(row.cost or 0.0 for row in rows)) < 1e-9
            for before, row in pairwise(rows):
                assert row.model == run.models[row.sequence_number % len(run.models)]
                if before.state == "completed":
                    assert row.sequence_number == before.sequence_number + 1
                    assert (row.input_text, row.input_key) == (before.output_text, before.output_key)
                else:
                    assert row.sequence_number % len(run.models) == 0
                    assert row.input_text == run.prompt


async def play(folder: Path, steps: list[tuple[str, Any]]) -> None:
    platform = Platform()
    on = stage(folder, platform)
    networks = [on.network(lockout_seconds=LOCKOUT, limits=Limits(invocations=40)) for _ in range(2)]
    paid_when_idle: int | None = None
    for step, value in steps:
        if step == "prompt":
            before = on.store.current_run(networks[value])
            result = await on.runners.start(networks[value], "a fox", "user:me")
            if isinstance(result, LockedOut):
                assert before is not None
                assert before.state == "running"
                assert 0 < result.seconds_left <= LOCKOUT
            else:
                assert isinstance(result, Started)
                assert before is None or on.store.run(before.id).state == "ended"
        elif step == "stop":
            before = on.store.current_run(networks[value])
            assert await on.runners.stop(networks[value]) == (before is not None and before.state == "running")
        elif step == "jump":
            on.clock.jump(value)
        elif step == "fail":
            platform.failures.append(value)
        elif step == "hang":
            platform.free.clear() if value else platform.free.set()
        else:
            await on.runners.close()
            on.store.close()
            fresh = stage(folder, platform, clock=on.clock, shelf=on.shelf, bills=value)
            on = fresh
            await on.runners.recover()
        await on.settle()
        check(on, networks)
        # Where nothing runs, no call is made, however time passes.
        paid_when_idle = len(on.platform.calls) if not on.store.running_runs() else None
        if paid_when_idle is not None:
            on.clock.jump(5.0)
            await on.settle()
            assert len(on.platform.calls) == paid_when_idle
    platform.free.set()
    await on.runners.stop_all()
    await on.settle()
    assert on.store.running_runs() == []
    assert on.store.unfinished() == []
    check(on, networks)
    await on.runners.close()
    on.store.close()


@settings(max_examples=40, deadline=None)
@given(moves)
def test_runs_stay_sound(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), steps))
