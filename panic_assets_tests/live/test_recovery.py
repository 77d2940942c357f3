"""A server that dies in the middle: nothing stays half done, nothing is paid twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from panic_assets.live.platforms.base import Answer, Call
from panic_assets.live.runner import Started
from panic_assets_tests.live.rings import Stage, echo, stage

#: A server that says when its call is under way, and then waits to be killed.
SERVER = """
import asyncio, sys
from pathlib import Path
from panic_assets.live.clock import SystemClock
from panic_assets_tests.live.rings import echo, stage

async def answer(call):
    with open(Path(sys.argv[1]) / "bills", "a") as bills:
        bills.write(call.model.id + "\\n")
    if call.model.id == "tell":
        if sys.argv[2] == "upstream":
            await call.started("prediction-7")
        print("under way", flush=True)
        await asyncio.Event().wait()
    return await echo(call)

async def serve():
    on = stage(Path(sys.argv[1]), answer, clock=SystemClock())
    await on.runners.start(on.network(), "a fox", "user:me")
    await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.mark.parametrize(
    ("upstream", "bills", "expected"),
    [("upstream", True, "resumed"), ("none", True, "restarted"), ("none", False, "called again")],
)
def test_a_server_that_is_killed_during_a_call(tmp_path: Path, upstream: str, bills: bool, expected: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), upstream], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "under way\n"
    child.send_signal(signal.SIGKILL)
    child.wait()

    async def again() -> None:
        seen: list[str | None] = []

        async def answer(call: Call) -> Answer:
            seen.append(call.resume)
            return await echo(call)

        on = stage(tmp_path, answer, bills=bills)
        on.shelf.held.update({row.key: b"a fox" for row in on.store.media_of_run(on.store.running_runs()[0].id)})
        (run,) = on.store.running_runs()
        assert len(on.store.unfinished()) == 1
        resumed = await on.runners.recover()
        await on.settle()
        assert on.store.unfinished() == []
        rows = on.store.invocations(run.id)
        if expected == "restarted":
            assert resumed == []
            ended = on.store.run(run.id)
            assert (ended.state, ended.end_reason) == ("ended", "restarted")
            assert [row.state for row in rows] == ["completed", "failed"]
            assert on.platform.calls == []
        else:
            assert [one.id for one in resumed] == [run.id]
            assert [row.state for row in rows] == ["completed", "completed"]
            assert rows[1].output_text == "a fox."
            assert seen[0] == ("prediction-7" if expected == "resumed" else None)
            assert len(on.platform.calls) == (0 if expected == "resumed" else 1)
            await on.rounds(2)
            assert on.store.run(run.id).completed >= 3
        await on.runners.close()
        on.store.close()

    asyncio.run(again())
    assert (tmp_path / "bills").read_text().splitlines() == ["paint", "tell"]


def test_a_server_that_is_closed_goes_on_where_it_was(tmp_path: Path) -> None:
    async def first() -> str:
        on = stage(tmp_path)
        started = await on.runners.start(on.network(("reword",)), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(2)
        assert on.store.run(started.run.id).completed == 3
        await on.runners.close()
        on.store.close()
        return started.run.id

    async def second(run_id: str) -> None:
        on = stage(tmp_path)
        (run,) = await on.runners.recover()
        assert run.id == run_id
        await on.rounds(2)
        rows = on.store.invocations(run_id)
        assert [row.sequence_number for row in rows] == list(range(len(rows)))
        assert rows[-1].output_text == "a fox" + "." * len(rows)
        assert len(rows) == 5
        await on.runners.close()
        on.store.close()

    asyncio.run(second(asyncio.run(first())))


def test_a_ready_row_of_a_dead_server_is_called(tmp_path: Path) -> None:
    """Killed between the row and its claim: the call was never made, so that it can be made now, billed or not."""

    async def scene() -> None:
        on: Stage = stage(tmp_path)
        network = on.network()
        run, _ = on.store.begin_run(network, "a fox", "user:me", ("paint", "tell"), "image")
        await on.runners.recover()
        await on.rounds(1)
        assert on.store.run(run.id).completed == 2
        await on.runners.close()
        on.store.close()

    asyncio.run(scene())
