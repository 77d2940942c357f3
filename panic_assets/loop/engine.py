"""The engine: advances all runs of an experiment to their ends.

Here belongs the way of a run: it asks its model, its output is handed to the recorder and, at once, to the next model.
Runs don't wait for one another; those that are furthest behind are served first, and equal work is done once. Which
batch goes to which device belongs to ``scheduling``, the calls to ``dispatch``, writing to ``recorder``, what a run
knows of itself to ``state``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from panic_assets.devices.base import Device
from panic_assets.devices.known import KnownFacts
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake, images
from panic_assets.loop.costs import cost_of
from panic_assets.loop.dispatch import Answer, Dispatcher, Incident, Request
from panic_assets.loop.estimate import Estimate
from panic_assets.loop.events import event_of
from panic_assets.loop.ids import invocation_id, noise_number
from panic_assets.loop.outcomes import write_outcomes
from panic_assets.loop.pictures import Settled, settle
from panic_assets.loop.planning import RunPlan
from panic_assets.loop.progress import Progress
from panic_assets.loop.recorder import Entry, Picture, Recorder
from panic_assets.loop.scheduling import groups_of_networks
from panic_assets.loop.sharing import Made, SharedWork, Taker, work_key
from panic_assets.loop.state import Past, RunState, restore
from panic_assets.models.base import Output
from panic_assets.models.registry import ModelEntry

_SETTLERS = 2  # threads that hash, and encode for a lossy archive, before the next step
_ROWS = 1024  # of runs that go round a known cycle, recorded together


@dataclass(frozen=True)
class Summary:
    """What an engine did. ``seconds`` is wall time; those of models and loading are summed over ``lanes``."""

    invocations: int
    computed: int
    calls: int
    seconds: float
    model_seconds: float
    loading_seconds: float
    waited_seconds: float
    lanes: int
    events: int
    stop_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def overhead(self) -> float:
        """Share of the time of all lanes (loading apart) that was not spent in models."""
        busy = self.lanes * self.seconds - self.loading_seconds
        return 1 - self.model_seconds / busy if busy > 0 else 0.0


def run_experiment(
    lake: Lake,
    experiment: Experiment,
    plans: Sequence[RunPlan],
    models: Mapping[str, ModelEntry],
    devices: Sequence[Device],
    on_progress: Callable[[Progress], None] | None = None,
    commit_seconds: float = 5.0,
    facts: KnownFacts | None = None,
) -> Summary:
    """Bring every run to its end and the tables ``invocations``, ``images``, ``events``, ``outcomes`` up to date.

    What the lake holds already is not computed again. Runs that failed before are tried again from where they failed.
    ``facts`` are what is known of models on devices; None keeps to the registered batch sizes.

    Raises:
        ModelLoadError: a model can't be loaded; what was computed before stays.
        PartitionLocked: another engine is at work on this experiment.
        LakeError, OSError: the lake can't be read or written; what was committed before stays.
    """
    with ThreadPoolExecutor(_SETTLERS, thread_name_prefix="settle") as settlers:
        engine = _Engine(lake, experiment, models, on_progress or (lambda progress: None), settlers)
        return engine.run(plans, devices, facts, commit_seconds)


def groups_of_plans(
    plans: Sequence[RunPlan], models: Mapping[str, ModelEntry], capacity_gb: float | None
) -> list[list[str]]:
    """The networks of an experiment in the order in which they are run; see `groups_of_networks`.

    To be asked of all runs, not of those that are left, so that a restart takes the same order.
    """
    weights = {name: entry.load_identity for name, entry in models.items()}
    rings = {plan.network: [weights[name] for name in plan.models] for plan in plans}
    runs = dict.fromkeys(rings, 0)
    for plan in plans:
        runs[plan.network] += 1
    memory_gb = {weights[name]: entry.device_gb for name, entry in models.items()}
    return groups_of_networks(rings, runs, memory_gb, capacity_gb)


class _Engine:
    def __init__(
        self,
        lake: Lake,
        experiment: Experiment,
        models: Mapping[str, ModelEntry],
        on_progress: Callable[[Progress], None],
        settlers: ThreadPoolExecutor,
    ) -> None:
        self.lake, self.experiment, self.models = lake, experiment, models
        self.on_progress, self.settlers = on_progress, settlers
        self.progress, self.shared = Progress(), SharedWork()
        self.events = 0

    def run(
        self, plans: Sequence[RunPlan], devices: Sequence[Device], facts: KnownFacts | None, commit_seconds: float
    ) -> Summary:
        self.started = time.perf_counter()
        self.states = [self._new_state(plan) for plan in plans]
        self.estimate = Estimate(_known_seconds(self.models, devices, facts))
        image_format = self.experiment.image_format
        capacities = [device.capacity_gb for device in devices if device.capacity_gb is not None]
        # The locks first: what is read is then what is gone on from.
        with (
            Recorder(self.lake, self.experiment.name, image_format, commit_seconds=commit_seconds) as self.recorder,
            Dispatcher(devices, self.models, facts) as self.dispatcher,
        ):
            self.stored = restore(self.lake, self.experiment.name, self.states)
            self.progress.done = self.progress.resumed = sum(state.next for state in self.states)
            self.progress.total = sum(s.next if s.stop_reason else s.plan.max_length for s in self.states)
            for group in groups_of_plans(plans, self.models, min(capacities, default=None)):
                self._advance(group)
        behaviours = {name: str(entry.seed_behaviour) for name, entry in self.models.items()}
        write_outcomes(self.lake, self.experiment.name, self.states, behaviours)
        self._report()
        reasons = [str(state.stop_reason) for state in self.states]
        totals = self.dispatcher.totals
        return Summary(
            invocations=self.progress.done,
            computed=self.progress.computed,
            calls=totals.calls,
            seconds=time.perf_counter() - self.started,
            model_seconds=totals.model_seconds,
            loading_seconds=totals.loading_seconds,
            waited_seconds=self.recorder.waited_seconds,
            lanes=self.dispatcher.lanes,
            events=self.events,
            stop_reasons={reason: reasons.count(reason) for reason in sorted(set(reasons))},
        )

    def _new_state(self, plan: RunPlan) -> RunState:
        repeatable = all(self.models[name].seed_behaviour != "none" for name in plan.models)
        settled = all(self.models[name].seed_behaviour == "deterministic" for name in plan.models)
        return RunState(
            plan,
            detect=repeatable and (plan.is_seeded or settled),
            stop_at_cycle=self.experiment.cycle == "stop",
            stop_at_flag=self.experiment.quality == "stop",
            value=plan.prompt,
        )

    def _advance(self, networks: Sequence[str]) -> None:
        """All runs of some networks, side by side, until none waits for an answer any more."""
        going = [state for state in self.states if state.plan.network in networks and not state.stop_reason]
        others = f" and {len(networks) - 1} more" if len(networks) > 1 else ""
        self.progress.network = networks[0] + others
        self.dispatcher.expect({name for state in going for name in state.plan.models})
        self._go_on(going)
        while self.shared.waiting:
            came = self.dispatcher.come()
            if isinstance(came, Incident):
                self._note(came)
            else:
                self._take_in(came)
            self._report()

    def _go_on(self, states: Iterable[RunState]) -> None:
        """Each run takes its next outputs as far as they are known, and asks for the first that is not."""
        going, rows = deque(states), list[dict[str, Any]]()
        asked: dict[str, list[Request]] = {}
        while going:
            state = going.popleft()
            if state.stop_reason:
                self.progress.total -= state.plan.max_length - state.next
            elif state.cycle:
                rows.append(self._repeat(state))
                going.append(state)
            else:
                name, seed = self._next_call(state)
                key = work_key(self.models[name], state.key, seed, state.plan.run_number)
                made = self.shared.known(key)
                if made is not None:
                    rows.append(self._take(state, seed, made, 0.0))
                    going.append(state)
                elif self.shared.wait(key, Taker(state, seed)):
                    assert state.value is not None, f"run {state.plan.run_number} has no input for {state.next}"
                    asked.setdefault(name, []).append(Request(key, state.value, seed, state.next))
            if len(rows) >= _ROWS:
                self.recorder.record(Entry(rows, []))
                rows = []
        if rows:
            self.recorder.record(Entry(rows, []))
        for name, requests in asked.items():
            self.dispatcher.submit(name, requests)

    def _next_call(self, state: RunState) -> tuple[str, int]:
        """The model that a run asks next, and the number that seeds it."""
        plan = state.plan
        return plan.models[state.next % len(plan.models)], noise_number(plan.run_id, plan.seed, state.next)

    def _take_in(self, answers: Sequence[Answer]) -> None:
        """Hand each answer to all runs that wait for it, record what they took, and let them go on."""
        settled = self._settled(a.output for a in answers if isinstance(a.output, Output))
        rows, pictures, going = list[dict[str, Any]](), list[Picture](), list[RunState]()
        for answer in answers:
            if not isinstance(answer.output, Output):
                for taker in self.shared.answered(answer.key, None):
                    taker.state.fail(answer.error or RuntimeError("a model gave neither an output nor an error"))
                    going.append(taker.state)
                continue
            made, picture = self._made(answer, answer.output, next(settled))
            takers = self.shared.answered(answer.key, made)
            first = takers[0].state
            if picture is not None and picture.image_hash not in self.stored:
                self.stored.add(picture.image_hash)
                pictures.append(Picture(picture, first.plan.run_number, first.next))
            self.estimate.note(answer.key[0], answer.seconds, len(takers))
            self.progress.computed += 1
            for taker in takers:
                rows.append(self._take(taker.state, taker.seed, made, answer.seconds / len(takers)))
                going.append(taker.state)
        if rows:
            self.recorder.record(Entry(rows, pictures))
        self._go_on(going)

    def _settled(self, outputs: Iterable[Output]) -> Iterator[Settled | None]:
        """Pictures as they are stored and fed on, worked out side by side; None in the place of a text."""

        def one(output: Output) -> Settled | None:
            value = output.value
            return None if isinstance(value, str) else settle(value, self.experiment.image_format, output.latents)

        return self.settlers.map(one, outputs)

    def _made(self, answer: Answer, output: Output, picture: Settled | None) -> tuple[Made, Settled | None]:
        flags = tuple(sorted({*map(str, output.flags), *_doubts(output.value)}))
        past = Past(None if picture else str(output.value), picture.image_hash if picture else None, flags)
        value = picture.pixels if picture else output.value
        how = (answer.batch_size, answer.device, answer.retries, answer.started_at, answer.completed_at)
        return Made(past, value, *how), picture

    def _take(self, state: RunState, seed: int, made: Made, seconds: float) -> dict[str, Any]:
        """Give a run its next output; the row that says so."""
        row = self._row(state, made.past, seed) | {
            "batch_size": made.batch_size,
            "device": made.device,
            "model_seconds": seconds,
            "retries": made.retries,
            "started_at": made.started_at,
            "completed_at": made.completed_at,
        }
        state.advance(made.past, made.value)
        self.progress.done += 1
        return row

    def _repeat(self, state: RunState) -> dict[str, Any]:
        """The next invocation of a run that is on a known cycle: no model is asked."""
        past, now = state.known_next(), datetime.now(UTC)
        assert past is not None
        seed = noise_number(state.plan.run_id, state.plan.seed, state.next)
        return self._take(state, seed, Made(past, past.text or "", 0, None, 0, now, now), 0.0)

    def _row(self, state: RunState, past: Past, seed: int) -> dict[str, Any]:
        plan, number = state.plan, state.next
        name = plan.models[number % len(plan.models)]
        return {
            "experiment": self.experiment.name,
            "run_number": plan.run_number,
            "sequence_number": number,
            "invocation_id": invocation_id(plan.run_id, number),
            "model": name,
            "model_revision": self.models[name].revision,
            "type": "text" if past.image_hash is None else "image",
            "seed": seed,
            "text": past.text,
            "image_hash": past.image_hash,
            "flags": list(past.flags),
        }

    def _note(self, incident: Incident) -> None:
        """Put into the events what went wrong, with the runs that wait for it."""
        waiting = self.shared.waiting
        runs = {key: [t.state.plan.run_number for t in waiting[key]] for key in incident.keys if key in waiting}
        self.events += 1
        self.recorder.record(Entry([], [], [event_of(incident, runs)]))

    def _report(self) -> None:
        self.progress.seconds = time.perf_counter() - self.started
        self.progress.seconds_left = self.estimate.seconds_left(self.states, self.progress.seconds)
        self.on_progress(self.progress)


def _known_seconds(
    models: Mapping[str, ModelEntry], devices: Sequence[Device], facts: KnownFacts | None
) -> dict[str, float]:
    """Seconds for one invocation, for the models whose calls were measured on such a device or published."""
    if not devices:  # as where there is nothing to run
        return {}
    costs = {name: cost_of(entry, devices[0].hardware, facts) for name, entry in models.items()}
    return {name: c.call_seconds(c.batch) / c.batch for name, c in costs.items() if c.calls_from != "guess"}


def _doubts(value: str | np.ndarray) -> list[str]:
    """Quality flags that anyone can see, whatever model gave the output."""
    flag = images.uniform_or_black(value) if isinstance(value, np.ndarray) else None if value.strip() else "empty_text"
    return [flag] if flag else []
