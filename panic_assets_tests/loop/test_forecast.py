"""Simulated time against what can be worked out by hand, against the engine itself, and against what was published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.panel import NOTHING, Levers, Reading, cost, panel, simulate_ours
from benchmarks.peer import simulate_peer
from panic_assets.devices.known import KnownFacts
from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop.costs import ModelCost, cost_of, line_through
from panic_assets.loop.forecast import forecast
from panic_assets.loop.planning import plan_runs, resolve_models
from panic_assets.loop.simulated import SimulatedDevice
from panic_assets.loop.simulation import Simulation, simulate
from panic_assets.loop.typical import earlier_runs
from panic_assets.models.entry import ModelEntry, Timing
from panic_assets.models.pool import ModelPool
from panic_assets_tests.loop.parts import experiment, registry, run

DRAW, TELL = "DummyT2I", "DummyI2T"


def _models(asked: Experiment, **memory_gb: float) -> dict[str, ModelEntry]:
    """The entries, each with weights of its own, of which calls take two items."""
    entries = resolve_models(asked, registry())
    return {
        name: entry.model_copy(update={"revision": name, "memory_gb": memory_gb.get(name, 0.0), "batch": 2})
        for name, entry in entries.items()
    }


def _simulate(
    asked: Experiment,
    costs: Mapping[str, ModelCost],
    *devices: SimulatedDevice,
    memory_gb: Mapping[str, float] | None = None,
    lengths: Mapping[int, int] | None = None,
) -> Simulation:
    models = _models(asked, **memory_gb or {})
    return simulate(plan_runs(asked, models), models, costs, devices or [SimulatedDevice()], lengths)


@cache
def _ours(levers: Levers, reading: Reading = "decomposed") -> Simulation:
    return simulate_ours(levers, reading)


def _cost(fixed: float = 0.0, each: float = 1.0, load: float = 0.0, bus: float = 0.0) -> ModelCost:
    return ModelCost(batch=2, fixed_seconds=fixed, item_seconds=each, load_seconds=load, bus_seconds=bus)


def test_one_device_takes_the_sum_of_calls_and_loads() -> None:
    asked = experiment(prompts=["a", "b", "c", "d"], seeds=[-1], max_length=6)
    made = _simulate(asked, {DRAW: _cost(fixed=3, each=2, load=10), TELL: _cost(each=0.5, load=5)})
    # 4 runs in calls of 2 items, each model 3 times a run: 6 calls of 3 + 4 s, and 6 of 1 s.
    assert made.calls == {DRAW: 6, TELL: 6}
    assert made.seconds == pytest.approx(6 * 7 + 6 * 1 + 15)
    assert [(load.model, load.seconds) for load in made.loads] == [(DRAW, 10), (TELL, 5)]


def test_what_is_left_of_a_batch_costs_a_whole_one() -> None:
    asked = experiment(prompts=["a"], seeds=[-1], max_length=2)
    made = _simulate(asked, {DRAW: _cost(each=3), TELL: _cost(each=1)})
    assert made.seconds == pytest.approx(2 * 3 + 2 * 1)


def test_models_that_do_not_fit_together_take_turns() -> None:
    asked = experiment(prompts=["a", "b", "c", "d"], seeds=[-1], max_length=4)
    costs = {DRAW: _cost(load=10), TELL: _cost(load=10)}
    memory = {DRAW: 6.0, TELL: 6.0}
    apart = _simulate(asked, costs, SimulatedDevice(10), memory_gb=memory)
    together = _simulate(asked, costs, SimulatedDevice(12), memory_gb=memory)
    assert [load.model for load in apart.loads] == [DRAW, TELL, DRAW, TELL]
    assert [load.model for load in together.loads] == [DRAW, TELL]
    assert apart.seconds - together.seconds == pytest.approx(20)


def test_two_devices_halve_what_is_computed() -> None:
    asked = experiment(prompts=[f"p{number}" for number in range(16)], seeds=[-1], max_length=8)
    costs = {DRAW: _cost(each=2), TELL: _cost(each=1)}
    one = _simulate(asked, costs)
    two = _simulate(asked, costs, SimulatedDevice(), SimulatedDevice())
    assert two.seconds == pytest.approx(one.seconds / 2, rel=0.05)
    assert two.computed == one.computed


def test_a_captioner_works_while_a_generator_waits_for_its_weights() -> None:
    asked = experiment(prompts=[f"p{number}" for number in range(16)], seeds=[-1], max_length=20)
    lanes = SimulatedDevice(lanes=2)

    def seconds(bus: float, device: SimulatedDevice) -> float:
        return _simulate(asked, {DRAW: _cost(fixed=4, each=2, bus=bus), TELL: _cost(each=2)}, device).seconds

    alone = seconds(4, SimulatedDevice())
    # Where nobody waits for the bus, side by side is no faster; with the wait, some of it is used.
    assert seconds(0, lanes) == pytest.approx(alone)
    assert 0.7 * alone < seconds(4, lanes) < 0.85 * alone
    assert seconds(0, replace(lanes, together_gain=1.0)) < 0.8 * alone


def test_equal_work_of_two_networks_is_done_once() -> None:
    networks = [[DRAW, TELL], [DRAW, "DummyI2T2"]]
    costs = {DRAW: _cost(), TELL: _cost(), "DummyI2T2": _cost()}
    seeded = _simulate(experiment(networks=networks, seeds=[1, 2], max_length=4), costs)
    unseeded = _simulate(experiment(networks=networks, seeds=[-1, -1], max_length=4), costs)
    assert seeded.invocations == unseeded.invocations == 32
    assert sum(unseeded.computed.values()) == 32
    assert sum(seeded.computed.values()) == 32 - 4  # the first picture of each prompt and seed


def test_runs_that_end_early_cost_less() -> None:
    asked = experiment(prompts=["a", "b"], seeds=[-1], max_length=10)
    made = _simulate(asked, {DRAW: _cost(), TELL: _cost()}, lengths={0: 2})
    assert made.invocations == 12


@settings(max_examples=40, deadline=None)
@given(
    prompts=st.integers(1, 7),
    length=st.integers(1, 9),
    seeds=st.lists(st.integers(0, 3), unique=True, max_size=3).map(lambda found: [*found, -1]),
    capacity=st.sampled_from([None, 3.0, 5.0, 9.0]),
    lanes=st.integers(1, 2),
    count=st.integers(1, 3),
    fixed=st.floats(0, 5),
    bus=st.floats(0, 1),
)
def test_no_device_does_more_than_it_can(
    prompts: int,
    length: int,
    seeds: list[int],
    capacity: float | None,
    lanes: int,
    count: int,
    fixed: float,
    bus: float,
) -> None:
    asked = experiment(
        networks=[[DRAW, TELL], ["DummyT2I2", TELL, DRAW, "DummyI2T2"]],
        prompts=[f"p{number}" for number in range(prompts)],
        seeds=seeds,
        max_length=length,
    )
    costs = {name: _cost(fixed, 1.0, 2.0, bus * fixed) for name in (DRAW, TELL, "DummyT2I2", "DummyI2T2")}
    memory = {DRAW: 2.0, "DummyT2I2": 4.0, TELL: 1.0, "DummyI2T2": 3.0}
    made = _simulate(asked, costs, *[SimulatedDevice(capacity, lanes)] * count, memory_gb=memory)
    waiting = bus * fixed * sum(made.calls.values())
    computing = sum(made.model_seconds.values()) - waiting
    loading = sum(load.seconds for load in made.loads)
    assert made.invocations == prompts * 2 * len(seeds) * length
    assert made.seconds >= max(computing, waiting + loading) / count - 1e-6
    assert made.seconds <= computing + waiting + loading + 1e-6
    assert sum(group.invocations for group in made.groups) == made.invocations


@pytest.mark.parametrize(
    "values",
    [
        {"prompts": [f"p{n}" for n in range(11)], "seeds": [1, 2, -1], "max_length": 9, "cycle": "continue",
         "networks": [[DRAW, TELL], [DRAW, "DummyI2T2"], ["DummyT2I2", TELL, DRAW, "DummyI2T2"]]},
        {"prompts": [f"p{n}" for n in range(40)], "seeds": [-1, -1], "max_length": 7},
        {"prompts": [f"p{n}" for n in range(60)], "seeds": [1, 2], "max_length": 4,
         "networks": [[DRAW, TELL], [DRAW, "DummyI2T2"]]},
    ],
)  # fmt: skip
def test_the_engine_makes_the_calls_and_loads_that_were_planned(tmp_path: Path, values: dict[str, object]) -> None:
    asked = experiment(**values)
    used = {name for network in asked.networks for name in network}
    asked = asked.model_copy(update={"models": {name: {"parameters": {"side": 32}} for name in used if "T2I" in name}})
    with ModelPool() as pool:
        done = run(Lake(tmp_path), asked, pool)
        loads = pool.loads
    models = resolve_models(asked, registry())
    costs = {name: cost_of(entry, "cpu") for name, entry in models.items()}
    made = simulate(plan_runs(asked, models), models, costs, [SimulatedDevice()])
    assert (sum(made.calls.values()), sum(made.computed.values())) == (done.calls, done.computed)
    assert len(made.loads) == loads


def test_calls_follow_a_line_through_what_was_published() -> None:
    fixed, each = line_through({1: 113, 2: 160, 4: 284})
    assert (fixed, each) == pytest.approx((51.0, 57.714), abs=0.001)
    assert line_through({4: 26}) == (0.0, 6.5)
    assert line_through({1: 4.58, 4: 24}) == (0.0, 6.0)  # larger batches take longer for each item


def test_the_best_source_of_seconds_is_taken(tmp_path: Path) -> None:
    entry = registry()["SDXL"].model_copy(update={"timings": (), "batch": 2})
    assert cost_of(entry, "GPU").calls_from == cost_of(entry, "GPU").load_from == "guess"
    timings = (
        Timing(device="other", batch=1, seconds=4.0, cold_seconds=9.0, source="a page"),
        Timing(device="other", batch=4, seconds=2.5, source="a page"),
    )
    published = cost_of(entry.model_copy(update={"timings": timings}), "GPU")
    assert (published.calls_from, published.load_from) == ("published", "published")
    assert published.call_seconds(2) == pytest.approx(6.0)  # on the line through 4 and 10
    assert published.load_seconds == pytest.approx(9.0 - 4.0)
    facts = KnownFacts(tmp_path / "devices.json")
    facts.note_call(entry, "GPU", 2, 3.0)
    facts.note_load(entry, "GPU", 7.5)
    measured = cost_of(entry, "GPU", facts)
    assert (measured.calls_from, measured.load_from) == ("measured", "measured")
    assert (measured.call_seconds(2), measured.load_seconds) == (3.0, 7.5)


def test_a_plan_learns_from_earlier_runs(tmp_path: Path) -> None:
    asked = experiment(prompts=["a", "b", "c"], seeds=[1, -1], max_length=30)
    lake, facts = Lake(tmp_path / "lake"), KnownFacts(tmp_path / "devices.json")
    device = LocalDevice(ModelPool())
    done = run(lake, asked, devices=[device], facts=facts)
    models = resolve_models(asked, registry())
    blind = forecast(asked, models, [SimulatedDevice()], "cpu")
    seeing = forecast(asked, models, [SimulatedDevice()], "cpu", facts, earlier_runs(lake, asked.name))
    assert blind.invocations == 6 * 30
    assert seeing.invocations == done.invocations
    assert set(blind.guesses) == {DRAW, TELL, "DummyText"}
    assert seeing.guesses == ("DummyText",)
    assert seeing.disk.pictures_from == "measured"
    assert seeing.loop_seconds < 10 * done.seconds


def test_a_longer_plan_than_the_earlier_runs_takes_full_lengths(tmp_path: Path) -> None:
    asked = experiment(seeds=[-1], max_length=4)
    lake = Lake(tmp_path)
    run(lake, asked)
    longer = asked.model_copy(update={"max_length": 6})
    models = resolve_models(longer, registry())
    plan = forecast(longer, models, [SimulatedDevice()], "cpu", None, earlier_runs(lake, asked.name))
    assert plan.invocations == 2 * 6
    assert any("full length" in sentence for sentence in plan.assumptions)


def test_a_large_experiment_is_planned_in_seconds() -> None:
    data = panel()
    made = _ours(Levers())
    assert made.invocations == 25 * data["prompts"] * data["replicates"] * data["max_length"] == 100_000


def test_the_published_schedule_is_where_its_authors_say_it_was() -> None:
    peer = simulate_peer("decomposed")
    assert len(peer.began) == 25
    assert peer.began[10] / 86400 == pytest.approx(panel()["marks"]["day_of_group_11"], abs=0.25)
    assert 14 <= peer.seconds / 86400 <= 18  # "about two weeks"


def test_without_levers_our_schedule_takes_what_the_published_one_takes() -> None:
    for reading in ("decomposed", "listed"):
        assert _ours(NOTHING, reading).seconds == pytest.approx(simulate_peer(reading).seconds, rel=0.01)


def test_what_the_panel_takes_under_our_schedule() -> None:
    """On the same seconds, on one device, unseeded: published seconds for captions split into load and item."""
    peer = simulate_peer("decomposed").seconds

    def ratio(levers: Levers) -> float:
        return _ours(levers).seconds / peer

    assert ratio(Levers()) <= 0.87
    assert ratio(Levers(fetch_ahead=True)) <= 0.85
    # The target of 0.75 needs a second device, or calls that gain from each other as nobody has measured.
    assert ratio(Levers(devices=2)) <= 0.5
    assert 0.75 < ratio(Levers(fetch_ahead=True, shared=True)) <= 0.84


def test_both_schedules_pay_the_same_seconds() -> None:
    for reading in ("decomposed", "listed"):
        peer = simulate_peer(reading)
        spent = Counter(_ours(NOTHING, reading).model_seconds)
        assert dict(spent) == pytest.approx(peer.model_seconds)


def test_a_reading_splits_only_what_was_published_with_loads() -> None:
    split = {
        name for name, model in panel()["models"].items()
        if cost(name, model["peer_batch"], "listed") != cost(name, model["peer_batch"], "decomposed")
    }  # fmt: skip
    assert split == {"Gemma3n", "LLaMA32Vision"}
