"""The engine: advances all runs of an experiment, network by network, in lockstep.

Here belongs the order of work. At each step the runs that are furthest behind ask their model together; equal requests
are answered once; what came back is handed to the recorder and, at once, to the next step. Calling belongs to
``calling``, writing to ``recorder``, what a run knows of itself to ``state``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from panic_assets.experiment import Experiment
from panic_assets.lake import Lake, images
from panic_assets.loop.calling import Answer, Caller, Request, request_key
from panic_assets.loop.ids import invocation_id, noise_number
from panic_assets.loop.outcomes import write_outcomes
from panic_assets.loop.pictures import Settled, settle
from panic_assets.loop.planning import RunPlan
from panic_assets.loop.progress import Progress
from panic_assets.loop.recorder import Entry, Picture, Recorder
from panic_assets.loop.state import Past, RunState, restore
from panic_assets.models.base import Output
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import ModelEntry

_SETTLERS = 2  # threads that hash, and encode for a lossy archive, before the next step


@dataclass(frozen=True)
class Summary:
    """What an engine did. Seconds are wall time; loading of models is apart from calling them."""

    invocations: int
    computed: int
    calls: int
    seconds: float
    model_seconds: float
    loading_seconds: float
    waited_seconds: float
    stop_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def overhead(self) -> float:
        """Share of the time (loading apart) that was not spent in models."""
        busy = self.seconds - self.loading_seconds
        return 1 - self.model_seconds / busy if busy > 0 else 0.0


def run_experiment(
    lake: Lake,
    experiment: Experiment,
    plans: Sequence[RunPlan],
    models: Mapping[str, ModelEntry],
    pool: ModelPool,
    on_progress: Callable[[Progress], None] | None = None,
    commit_seconds: float = 5.0,
) -> Summary:
    """Bring every run to its end and the tables ``invocations``, ``images`` and ``outcomes`` up to date.

    What the lake holds already is not computed again. Runs that failed before are tried again from where they failed.

    Raises:
        ModelLoadError: a model can't be loaded; what was computed before stays.
        PartitionLocked: another engine is at work on this experiment.
        LakeError, OSError: the lake can't be read or written; what was committed before stays.
    """
    engine = _Engine(lake, experiment, models, pool, on_progress or (lambda progress: None))
    with ThreadPoolExecutor(_SETTLERS, thread_name_prefix="settle") as settlers:
        return engine.run(plans, commit_seconds, settlers)


class _Engine:
    def __init__(
        self,
        lake: Lake,
        experiment: Experiment,
        models: Mapping[str, ModelEntry],
        pool: ModelPool,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.lake, self.experiment, self.models, self.pool = lake, experiment, models, pool
        self.on_progress = on_progress
        self.progress = Progress()
        self.callers = {name: Caller(models[name], pool) for name in models}
        self.stored: set[bytes] = set()

    def run(self, plans: Sequence[RunPlan], commit_seconds: float, settlers: ThreadPoolExecutor) -> Summary:
        self.settlers = settlers
        self.started = time.perf_counter()
        states = [self._new_state(plan) for plan in plans]
        image_format = self.experiment.image_format
        # The locks first: what is read is then what is gone on from.
        with Recorder(self.lake, self.experiment.name, image_format, commit_seconds=commit_seconds) as recorder:
            self.stored = restore(self.lake, self.experiment.name, states)
            self.progress.done = self.progress.resumed = sum(state.next for state in states)
            self.progress.total = sum(s.next if s.stop_reason else s.plan.max_length for s in states)
            for network in ordered_networks(plans):
                self.progress.network = network
                self._advance([s for s in states if s.plan.network == network and not s.stop_reason], recorder)
        write_outcomes(self.lake, self.experiment.name, states)
        self._report()
        reasons = [str(state.stop_reason) for state in states]
        return Summary(
            invocations=self.progress.done,
            computed=self.progress.computed,
            calls=sum(caller.calls for caller in self.callers.values()),
            seconds=time.perf_counter() - self.started,
            model_seconds=sum(caller.seconds for caller in self.callers.values()),
            loading_seconds=self._loading_seconds(),
            waited_seconds=recorder.waited_seconds,
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

    def _advance(self, active: list[RunState], recorder: Recorder) -> None:
        """Lockstep: always the runs that are furthest behind, so that after a restart all catch up."""
        while active:
            step = min(state.next for state in active)
            asking: list[RunState] = []
            repeating: list[RunState] = []
            for state in active:
                if state.next == step:
                    (repeating if state.cycle else asking).append(state)
            if repeating:
                recorder.record(Entry([self._repeat(state) for state in repeating], []))
                self._report()
            if asking:
                self._ask(asking, recorder)
            for state in (*asking, *repeating):
                if state.stop_reason:
                    self.progress.total -= state.plan.max_length - state.next
            active = [state for state in active if not state.stop_reason]

    def _ask(self, asking: Sequence[RunState], recorder: Recorder) -> None:
        """One invocation for each of some runs that are at the same place of the same ring."""
        plan, step = asking[0].plan, asking[0].next
        name = plan.models[step % len(plan.models)]
        wanted: dict[object, list[tuple[RunState, int]]] = {}
        requests = []
        for state in asking:
            seed = noise_number(state.plan.run_id, state.plan.seed, step)
            key = request_key(self.models[name], state.key, seed, state.plan.run_number)
            if key not in wanted:
                assert state.value is not None, f"run {state.plan.run_number} has no input for invocation {step}"
                requests.append(Request(key, state.value, seed))
            wanted.setdefault(key, []).append((state, seed))
        for answers in self.callers[name].answers(requests):
            values = [answer.output.value for answer in answers if answer.output]
            settled = self._settled(value for value in values if not isinstance(value, str))
            rows: list[dict[str, Any]] = []
            pictures: list[Picture] = []
            for answer in answers:
                if answer.output is None:
                    for state, _ in wanted[answer.key]:
                        state.fail(answer.error or RuntimeError(f"{name} gave neither an output nor an error"))
                    continue
                picture = None if isinstance(answer.output.value, str) else next(settled)
                first = wanted[answer.key][0][0]
                if picture is not None and picture.image_hash not in self.stored:
                    self.stored.add(picture.image_hash)
                    pictures.append(Picture(picture, first.plan.run_number, first.next))
                self._hand_out(answer, answer.output, picture, wanted[answer.key], rows)
            if rows:
                recorder.record(Entry(rows, pictures))
            self._report()

    def _settled(self, values: Iterable[np.ndarray]) -> Iterator[Settled]:
        """Pictures as they are stored and fed on, in order, worked out side by side."""
        return self.settlers.map(lambda pixels: settle(pixels, self.experiment.image_format), values)

    def _hand_out(
        self,
        answer: Answer,
        output: Output,
        picture: Settled | None,
        takers: Sequence[tuple[RunState, int]],
        rows: list[dict[str, Any]],
    ) -> None:
        """Give an answer to all runs that wanted it."""
        flags = tuple(sorted({*map(str, output.flags), *_doubts(output.value)}))
        past = Past(None if picture else str(output.value), picture.image_hash if picture else None, flags)
        value = picture.pixels if picture else output.value
        for state, seed in takers:
            rows.append(
                self._row(state, past)
                | {
                    "seed": seed,
                    "batch_size": answer.batch_size,
                    "shared": len(takers) > 1,
                    "model_seconds": answer.seconds / len(takers),
                    "retries": answer.retries,
                    "started_at": answer.started_at,
                    "completed_at": answer.completed_at,
                }
            )
            state.advance(past, value)
        self.progress.done += len(takers)
        self.progress.computed += 1

    def _repeat(self, state: RunState) -> dict[str, Any]:
        """The next invocation of a run that is on a known cycle: no model is asked."""
        past, now = state.known_next(), datetime.now(UTC)
        assert past is not None
        row = self._row(state, past) | {
            "seed": noise_number(state.plan.run_id, state.plan.seed, state.next),
            "batch_size": 0,
            "shared": True,
            "model_seconds": 0.0,
            "retries": 0,
            "started_at": now,
            "completed_at": now,
        }
        state.advance(past, past.text)
        self.progress.done += 1
        return row

    def _row(self, state: RunState, past: Past) -> dict[str, Any]:
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
            "text": past.text,
            "image_hash": past.image_hash,
            "flags": list(past.flags),
        }

    def _loading_seconds(self) -> float:
        return sum(caller.loading_seconds for caller in self.callers.values())

    def _report(self) -> None:
        self.progress.seconds = time.perf_counter() - self.started - self._loading_seconds()
        self.on_progress(self.progress)


def _doubts(value: str | np.ndarray) -> list[str]:
    """Quality flags that anyone can see, whatever model gave the output."""
    flag = images.uniform_or_black(value) if isinstance(value, np.ndarray) else None if value.strip() else "empty_text"
    return [flag] if flag else []


def ordered_networks(plans: Iterable[RunPlan]) -> list[str]:
    """Networks so that neighbours share models where they can: fewer loads when not all models fit together.

    To be asked of all runs, not of those that are left: else a restart would take another order, and pictures that
    several networks give would be recorded at another place.
    """
    rings = {plan.network: set(plan.models) for plan in plans}
    places = {network: place for place, network in enumerate(rings)}
    ordered: list[str] = []
    last: set[str] = set()
    while places:
        best = max(places, key=lambda network: (len(rings[network] & last), -places[network]))
        ordered.append(best)
        last = rings[best]
        del places[best]
    return ordered
