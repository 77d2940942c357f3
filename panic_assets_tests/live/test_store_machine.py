"""Runs and invocations against a plain model of them: whatever is asked, in whatever order."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from panic_assets.live.store import AlreadyRunning, Store
from panic_assets.live.values import Value
from panic_assets_tests.live.stores import HandClock, opened

OPEN = ("ready", "invoking")
costs = st.one_of(st.none(), st.integers(0, 5_000_000_000))


def dollars(billionths):
    return None if billionths is None else billionths / 1e9


@dataclass
class Call:
    run: str
    number: int
    state: str = "ready"
    attempts: int = 0
    cost: int | None = None
    upstream: str | None = None


@dataclass
class Ring:
    """What the store should hold of a network: its runs in order, whether each goes on, what it was billed."""

    running: str | None = None
    runs: dict[str, str | None] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    billed: dict[str, int] = field(default_factory=dict)


class Runs(RuleBasedStateMachine):
    template: Path

    runs = Bundle("runs")
    calls = Bundle("calls")

    @initialize()
    def open(self):
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "live.db")
        self.clock = HandClock()
        self.store = Store(f"sqlite:///{self.folder}/live.db", self.clock)
        self.network = self.store.create_network("ring", models=["one", "two"]).id
        self.ring = Ring()

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(target=runs)
    def begin(self):
        self.clock.go(1)
        if self.ring.running is not None:
            with pytest.raises(AlreadyRunning) as refused:
                self.store.begin_run(self.network, "x", "y", ["one", "two"], "text")
            assert refused.value.run.id == self.ring.running
            return multiple()
        run, _ = self.store.begin_run(self.network, "x", "y", ["one", "two"], "text")
        assert run.number == len(self.ring.runs) + 1
        self.ring.running, self.ring.runs[run.id], self.ring.billed[run.id] = run.id, None, 0
        return run.id

    @rule(target=calls, run=runs)
    def first(self, run):
        [genesis] = self.store.invocations(run, limit=1)
        if genesis.id not in self.ring.calls:
            self.ring.calls[genesis.id] = Call(run, 0, "ready" if self.ring.running == run else "failed")
        return genesis.id

    @rule(target=calls, run=runs, number=st.integers(1, 4))
    def add(self, run, number):
        found = self.store.add_invocation(run, number, "two", Value("text", text="z"), "text")
        taken = any((call.run, call.number) == (run, number) for call in self.ring.calls.values())
        assert (found is None) == (self.ring.running != run or taken)
        if found is None:
            return multiple()
        self.ring.calls[found.id] = Call(run, number)
        return found.id

    @rule(run=runs, reason=st.sampled_from(["stopped", "pre_empted", "budget"]))
    def end(self, run, reason):
        assert self.store.end_run(run, reason) == (self.ring.running == run)
        if self.ring.running == run:
            self.ring.running, self.ring.runs[run] = None, reason
            for call in self.ring.calls.values():
                if call.run == run and call.state in OPEN:
                    call.state = "failed"

    @rule(id=calls)
    def claim(self, id):
        call = self.ring.calls[id]
        assert self.store.claim(id) == (call.state == "ready")
        if call.state == "ready":
            call.state, call.attempts = "invoking", call.attempts + 1

    @rule(id=calls, upstream=st.sampled_from("pq"))
    def set_upstream(self, id, upstream):
        call = self.ring.calls[id]
        assert self.store.set_upstream(id, upstream) == (call.state == "invoking")
        if call.state == "invoking":
            call.upstream = upstream

    @rule(id=calls, cost=costs)
    def complete(self, id, cost):
        moved = self.store.complete(id, "out", None, 0.5, dollars(cost))
        self.moves(id, moved, ("invoking",), "completed", cost)

    @rule(id=calls, cost=costs)
    def give_back(self, id, cost):
        moved = self.store.give_back(id, "transient", "again", dollars(cost))
        self.moves(id, moved, ("invoking",), "ready", cost)
        if moved:
            self.ring.calls[id].upstream = None

    @rule(id=calls, cost=costs)
    def fail(self, id, cost):
        moved = self.store.fail(id, "timeout", "no more", dollars(cost))
        self.moves(id, moved, OPEN, "failed", cost)

    @rule()
    def another_program(self):
        self.store.close()
        self.store = Store(f"sqlite:///{self.folder}/live.db", self.clock)

    def moves(self, id, moved, states, to, cost):
        call = self.ring.calls[id]
        assert moved == (call.state in states)
        if moved:
            call.state = to
            if cost is not None:
                call.cost = (call.cost or 0) + cost
                self.ring.billed[call.run] += cost

    @invariant()
    def the_store_holds_what_the_model_holds(self):
        if not hasattr(self, "store"):
            return
        assert [run.id for run in self.store.running_runs()] == [self.ring.running] * (self.ring.running is not None)
        unfinished = {call.id for call in self.store.unfinished()}
        assert unfinished == {id for id, call in self.ring.calls.items() if call.state == "invoking"}
        for run in self.store.runs(self.network):
            assert run.end_reason == self.ring.runs[run.id]
            rows = self.store.invocations(run.id)
            states = [row.state for row in rows]
            assert (run.completed, run.failed) == (states.count("completed"), states.count("failed"))
            assert run.cost == self.ring.billed[run.id] / 1e9, "to the billionth"
            assert run.state == "running" or not set(states) & set(OPEN)
            for row in rows:
                if row.id in self.ring.calls:
                    call = self.ring.calls[row.id]
                    found = (row.run_id, row.sequence_number, row.state, row.attempts, row.cost, row.upstream_id)
                    assert found == (
                        call.run, call.number, call.state, call.attempts, dollars(call.cost), call.upstream,
                    )  # fmt: skip


def test_runs_do_what_a_plain_model_of_them_does(tmp_path):
    with opened("sqlite", tmp_path) as store:
        Runs.template = tmp_path / "template.db"
        store.backup_to(Runs.template)
    run_state_machine_as_test(
        Runs,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
