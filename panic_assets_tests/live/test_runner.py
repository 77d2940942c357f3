"""Runners: who may prompt when, what ends a run, and that nothing of an ended run happens any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from panic_assets.live.networks import NotRunnable
from panic_assets.live.platforms.base import Answer, Call, PlatformError
from panic_assets.live.records import Limits, OnError
from panic_assets.live.runner import BadPrompt, LockedOut, Started
from panic_assets.live.store import NotThere
from panic_assets.live.values import Value
from panic_assets_tests.live.rings import BEGINNING, Board, Shelf, Stage, echo, failing, stage

Scene = Callable[[Stage], Awaitable[None]]


def play(folder: Path, scene: Scene, **more: Any) -> Stage:
    """One scene on a fresh stage; all that is still at work afterwards is closed."""

    async def whole() -> Stage:
        made = stage(folder, **more)
        try:
            await scene(made)
        finally:
            await made.runners.close()
            made.store.close()
        return made

    return asyncio.run(whole())


async def hang(call: Call) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("never")


def test_a_prompt_goes_round_the_ring(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        network = on.network()
        started = await on.runners.start(network, " a fox ", "user:me")
        assert isinstance(started, Started)
        assert (started.run.prompt, started.run.number, started.invocation.sequence_number) == ("a fox", 1, 0)
        await on.rounds(3)
        rows = on.store.invocations(started.run.id)
        assert [row.model for row in rows] == ["paint", "tell", "paint", "tell"]
        assert [row.state for row in rows] == ["completed"] * 4
        assert [row.output_text for row in rows] == [None, "a fox.", None, "a fox.."]
        assert rows[1].input_key == rows[0].output_key
        assert rows[2].input_text == "a fox."
        run = on.store.run(started.run.id)
        assert (run.completed, run.failed, run.state) == (4, 0, "running")
        assert run.cost == pytest.approx(0.04)

    play(tmp_path, scene)


def test_a_prompt_during_lockout_is_told_how_long_and_after_it_pre_empts(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        network = on.network(lockout_seconds=30.0)
        first = await on.runners.start(network, "one", "user:me")
        assert isinstance(first, Started)
        on.clock.jump(29.5)
        await on.settle()
        refused = await on.runners.start(network, "two", "user:you")
        assert isinstance(refused, LockedOut)
        assert refused.run.id == first.run.id
        assert refused.seconds_left == pytest.approx(0.5)
        on.clock.jump(0.5)  # exactly at the boundary it is free
        second = await on.runners.start(network, "two", "user:you")
        assert isinstance(second, Started)
        assert second.run.number == 2
        old = on.store.run(first.run.id)
        assert (old.state, old.end_reason) == ("ended", "pre_empted")

    play(tmp_path, scene)


def test_nothing_is_called_after_a_stop(tmp_path: Path) -> None:
    """The rest that is under way when a run is stopped must not lead to one more call, which would be paid."""

    async def scene(on: Stage) -> None:
        network = on.network()
        started = await on.runners.start(network, "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(1)
        made = len(on.platform.calls)
        assert on.clock.sleeping == 1
        assert await on.runners.stop(network)
        assert not await on.runners.stop(network)
        on.clock.jump(86_400.0)
        await on.settle()
        assert len(on.platform.calls) == made
        assert (await on.runners.status(network)).state == "idle"
        assert on.store.run(started.run.id).end_reason == "stopped"

    play(tmp_path, scene)


def test_a_call_that_hangs_is_cancelled_by_a_stop_and_by_a_new_prompt(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        network = on.network(lockout_seconds=0.0)
        first = await on.runners.start(network, "one", "user:me")
        await on.settle()
        second = await on.runners.start(network, "two", "user:me")
        await on.settle()
        assert isinstance(first, Started)
        assert isinstance(second, Started)
        assert on.platform.cancelled == ["paint(one)"]
        assert await on.runners.stop(network)
        assert on.platform.cancelled == ["paint(one)", "paint(two)"]
        for run in (first.run, second.run):
            (row,) = on.store.invocations(run.id)
            assert (row.state, row.error_kind) == ("failed", "cancelled")

    play(tmp_path, scene, answer=hang)


def test_an_answer_that_ignores_its_cancellation_changes_nothing(tmp_path: Path) -> None:
    """A platform that answers although the run was ended: the row stays failed, the new run is not disturbed."""
    late = asyncio.Event

    async def stubborn(call: Call) -> Answer:
        if call.input.text == "one":
            try:
                await late().wait()
            except asyncio.CancelledError:
                return await echo(call)
        return await echo(call)

    async def scene(on: Stage) -> None:
        network = on.network(lockout_seconds=0.0)
        first = await on.runners.start(network, "one", "user:me")
        await on.settle()
        second = await on.runners.start(network, "two", "user:me")
        await on.rounds(2)
        assert isinstance(first, Started)
        assert isinstance(second, Started)
        assert [row.state for row in on.store.invocations(first.run.id)] == ["failed"]
        assert on.store.run(first.run.id).completed == 0
        assert [row.state for row in on.store.invocations(second.run.id)] == ["completed"] * 3
        status = await on.runners.status(network)
        assert status.run is not None
        assert status.run.id == second.run.id

    play(tmp_path, scene, answer=stubborn)


@pytest.mark.parametrize(
    ("limits", "reason", "completed"),
    [
        (Limits(invocations=5), "length", 5),
        (Limits(invocations=None, seconds=2.5), "duration", 4),
        (Limits(invocations=None, cost=0.03), "budget", 3),
    ],
)
def test_limits_end_a_run(tmp_path: Path, limits: Limits, reason: str, completed: int) -> None:
    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(limits=limits), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(12)
        run = on.store.run(started.run.id)
        assert (run.state, run.end_reason, run.completed) == ("ended", reason, completed)
        assert len(on.platform.calls) == completed

    play(tmp_path, scene)


def test_a_day_is_paced_by_the_age_of_the_run(tmp_path: Path) -> None:
    """24 hours: every second for ten minutes, then every 15 s for an hour's rest, then every ten minutes."""

    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(limits=Limits(invocations=None)), "a fox", "user:me")
        assert isinstance(started, Started)
        while (on.clock.now() - BEGINNING).total_seconds() < 86_400:
            while not on.clock.sleeping:
                await asyncio.sleep(0.0002)
            on.clock.jump()
        rows = on.store.invocations(started.run.id)
        times = [(row.created_at - BEGINNING).total_seconds() for row in rows]
        rests = [after - before for before, after in pairwise(times)]
        assert all(rest == 1.0 for rest, age in zip(rests, times, strict=False) if age < 600)
        assert all(rest == 15.0 for rest, age in zip(rests, times, strict=False) if 600 <= age < 3600)
        assert all(rest == 600.0 for rest, age in zip(rests, times, strict=False) if age >= 3600)
        # A minute less than a day, for what may be under way: 600 + 200 + 138 invocations.
        assert len([age for age in times if age < 86_340]) == 938

    play(tmp_path, scene)


def test_a_board_slows_the_ring_down(tmp_path: Path) -> None:
    board = Board(lambda invocation: invocation.sequence_number in (0, 3))

    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(5)
        rows = on.store.invocations(started.run.id)
        times = [(row.created_at - BEGINNING).total_seconds() for row in rows]
        # 10 s for the prompt before the first call, 8 s after invocations 0 and 3, else 1 s.
        assert times[:5] == [0.0, 18.0, 19.0, 20.0, 28.0]
        assert board.shown[:3] == [(0, "ready"), (0, "completed"), (3, "completed")]

    play(tmp_path, scene, boards=board)


def test_a_prompt_that_pre_empts_has_a_rest_of_its_own(tmp_path: Path) -> None:
    """The board shows the new prompt for as long as any, and the time that is told is that of the new run."""
    board = Board(lambda invocation: invocation.sequence_number == 0 and invocation.state == "ready")

    async def scene(on: Stage) -> None:
        network = on.network(lockout_seconds=0.0)
        await on.runners.start(network, "one", "user:me")
        await on.rounds(2)
        on.clock.jump(0.25)
        made = len(on.platform.calls)
        second = await on.runners.start(network, "two", "user:me")
        assert isinstance(second, Started)
        await on.settle()
        assert len(on.platform.calls) == made
        status = await on.runners.status(network)
        assert status.run is not None
        assert (status.run.id, status.state) == (second.run.id, "waiting")
        assert status.next_at == second.run.started_at + timedelta(seconds=10)
        on.clock.jump(9.9)
        await on.settle()
        assert len(on.platform.calls) == made
        on.clock.jump(0.1)
        await on.settle()
        assert on.platform.calls[made:] == ["paint(two)"]

    play(tmp_path, scene, boards=board)


def test_a_board_that_breaks_does_not_end_a_run(tmp_path: Path) -> None:
    def broken(invocation: object) -> bool:
        raise RuntimeError("no such board")

    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(2)
        assert on.store.run(started.run.id).completed == 3

    play(tmp_path, scene, boards=Board(broken))


def test_transient_errors_are_tried_again_with_growing_waits(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.settle()
        assert (await on.runners.status(on.store.run(started.run.id).network_id)).state == "retrying"
        on.clock.jump()
        await on.settle()
        on.clock.jump()
        await on.settle()
        (row, *_) = on.store.invocations(started.run.id)
        assert (row.state, row.attempts) == ("completed", 3)
        assert (on.clock.now() - BEGINNING).total_seconds() == 3.0  # 1 s, then 2 s

    play(tmp_path, scene, answer=failing("transient", "timeout"))


def test_attempts_are_bounded(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(6)
        run = on.store.run(started.run.id)
        assert (run.end_reason, run.failed, run.error) == ("failed", 1, "as told")
        assert len(on.platform.calls) == 3

    play(tmp_path, scene, answer=failing(*["transient"] * 9))


@pytest.mark.parametrize("kind", ["auth", "quota", "invalid", "internal"])
def test_errors_that_trying_again_would_not_mend_end_the_run_at_once(tmp_path: Path, kind: str) -> None:
    async def scene(on: Stage) -> None:
        network = on.network()
        started = await on.runners.start(network, "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(3)
        assert len(on.platform.calls) == 1
        assert on.store.run(started.run.id).end_reason == "failed"
        # After a failure the network is idle: no lockout keeps the next person waiting.
        assert isinstance(await on.runners.start(network, "again", "user:you"), Started)

    play(tmp_path, scene, answer=failing(kind))


def test_a_step_that_moderation_refuses_is_skipped_and_the_ring_begins_again(tmp_path: Path) -> None:
    calls = 0

    async def picky(call: Call) -> Answer:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise PlatformError("moderation", "flagged as sensitive", cost=0.005)
        return await echo(call)

    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(4)
        rows = on.store.invocations(started.run.id)
        assert [(row.sequence_number, row.state) for row in rows[:5]] == [
            (0, "completed"),
            (1, "completed"),
            (2, "failed"),
            (4, "completed"),
            (5, "completed"),
        ]
        assert rows[3].input_text == "a fox"
        assert on.store.run(started.run.id).cost == pytest.approx(0.045)

    play(tmp_path, scene, answer=picky)


def test_a_prompt_that_moderation_refuses_ends_the_run(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(3)
        assert on.store.run(started.run.id).end_reason == "failed"
        assert len(on.platform.calls) == 1

    play(tmp_path, scene, answer=failing("moderation"))


def test_a_policy_may_stop_where_others_retry(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        network = on.network(on_error=OnError(actions={"transient": "stop"}))
        started = await on.runners.start(network, "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(2)
        assert len(on.platform.calls) == 1

    play(tmp_path, scene, answer=failing("transient"))


def test_a_medium_that_the_archive_refuses_for_a_while_is_not_paid_twice(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.settle()
        assert (await on.runners.status(started.run.network_id)).state == "archiving"
        await on.rounds(2)
        (row, *_) = on.store.invocations(started.run.id)
        assert row.state == "completed"
        assert on.platform.calls.count("paint(a fox)") == 1

    play(tmp_path, scene, shelf=Shelf(failures=2))


def test_the_last_output_of_a_run_is_archived_too(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(limits=Limits(invocations=1)), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(1)
        (row,) = on.store.invocations(started.run.id)
        assert row.output_key is not None
        assert on.shelf.held[row.output_key] == b"a fox"

    play(tmp_path, scene)


@pytest.mark.parametrize("bad", [Value("text", text="  "), Value("image", data=b"x", media_type="image/png")])
def test_an_answer_of_the_wrong_kind_fails(tmp_path: Path, bad: Value) -> None:
    async def wrong(call: Call) -> Answer:
        return Answer(bad)

    async def scene(on: Stage) -> None:
        started = await on.runners.start(on.network(("reword",)), "a fox", "user:me")
        assert isinstance(started, Started)
        await on.rounds(1)
        (row,) = on.store.invocations(started.run.id)
        assert (row.state, row.error_kind) == ("failed", "invalid")

    play(tmp_path, scene, answer=wrong)


def test_the_chain_of_a_run_is_that_of_its_beginning(tmp_path: Path) -> None:
    """Models that are changed meanwhile count for the next run."""

    async def scene(on: Stage) -> None:
        network = on.network(("reword",), lockout_seconds=0.0)
        started = await on.runners.start(network, "a fox", "user:me")
        assert isinstance(started, Started)
        await on.settle()
        on.store.update_network(network, models=("paint", "tell"))
        await on.rounds(2)
        assert {row.model for row in on.store.invocations(started.run.id)} == {"reword"}
        again = await on.runners.start(network, "a fox", "user:me")
        assert isinstance(again, Started)
        assert again.run.models == ("paint", "tell")

    play(tmp_path, scene)


def test_what_can_not_be_started(tmp_path: Path) -> None:
    async def scene(on: Stage) -> None:
        draft = on.network(("tell", "nobody"))
        with pytest.raises(NotRunnable, match="nobody") as caught:
            await on.runners.start(draft, "a fox", "user:me")
        assert len(caught.value.problems) == 2
        with pytest.raises(NotThere):
            await on.runners.start("no-such-network", "a fox", "user:me")
        for prompt in ("", " \n", "x" * 2001):
            with pytest.raises(BadPrompt, match="1 to 2000 characters"):
                await on.runners.start(on.network(), prompt, "user:me")
        assert on.platform.calls == []

    play(tmp_path, scene)


def test_a_defect_of_a_platform_ends_its_run_alone(tmp_path: Path) -> None:
    async def broken(call: Call) -> Answer:
        if call.input.text == "bad":
            raise ZeroDivisionError("oh")
        return await echo(call)

    async def scene(on: Stage) -> None:
        good, bad = on.network(), on.network()
        kept = await on.runners.start(good, "fine", "user:me")
        lost = await on.runners.start(bad, "bad", "user:me")
        assert isinstance(kept, Started)
        assert isinstance(lost, Started)
        await on.rounds(2)
        ended = on.store.run(lost.run.id)
        assert (ended.end_reason, ended.error) == ("failed", "ZeroDivisionError: oh")
        assert on.store.unfinished() == []
        assert on.store.run(kept.run.id).completed >= 2

    play(tmp_path, scene, answer=broken)
