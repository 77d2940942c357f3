"""From the live store into the lake: what an audience made tonight can be analysed in the morning.

Here belongs which runs become which partitions, and the course of an ingestion. A network and a day are an experiment;
see ``to_lake`` for names, rows and the order of writing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Protocol

from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment
from panic_assets.files import ExperimentFiles
from panic_assets.interop.panic_tda.experiment_file import write_file
from panic_assets.lake import Lake
from panic_assets.lake.locks import locked
from panic_assets.live.platforms.base import LiveModel
from panic_assets.live.records import Invocation, Network, Run
from panic_assets.live.store import LiveStoreError, NotThere, Store
from panic_assets.live.to_lake.description import experiment_of
from panic_assets.live.to_lake.media import Medium, Unreadable, medium_of
from panic_assets.live.to_lake.names import SYSTEM, Held, day_of, experiment_key, slug, source_id
from panic_assets.live.to_lake.partition import PLACE, SEEN, TABLES, Partition
from panic_assets.live.to_lake.rows import Trajectory, state_of
from panic_assets.live.to_lake.trajectories import Completed, Failed, Stray, trajectories
from panic_assets.loop.planning import register

#: An ingestion of a long night may take so long; another one waits for it.
_WAIT_SECONDS = 600.0
_RUNS_AT_ONCE, _INVOCATIONS_AT_ONCE = 200, 200


class Reading(Protocol):
    """The part of the archive that an ingestion needs."""

    async def read(self, key: str) -> bytes:
        """The stored bytes."""


@dataclass(frozen=True)
class Ingested:
    """What is new in the lake: partitions that changed, and how many runs and invocations came.

    ``skipped`` has a sentence for each live run that was cut, and why.
    """

    experiments: tuple[str, ...]
    runs: int
    invocations: int
    skipped: tuple[str, ...]


def ingest(
    store: Store,
    archive: Reading,
    data: Path,
    *,
    include_running: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    zone: tzinfo | None = None,
    embedding_models: Sequence[str] = (),
    catalog: Mapping[str, LiveModel] | None = None,
) -> Ingested:
    """Bring the lake of the data directory ``data`` up to date with the live runs that are over.

    What is there already is not written again; an ingestion that was killed is gone on with. Not to be called in an
    event loop.

    Args:
        store: where the runs are.
        archive: where their media are.
        data: the data directory.
        include_running: take the runs that go on, too, as far as they are.
        now: the time.
        zone: where a day begins and ends; None for that of the machine.
        embedding_models: what new experiments are embedded by; their files may be changed afterwards.
        catalog: tells the platform of each model.

    Raises:
        PartitionLocked: somebody else is at work on a partition; what was committed stays.
        LakeError: a table can't be read or written.
        LiveStoreError: the store fails.
    """
    with locked(data / "live" / "ingest.lock", _WAIT_SECONDS), asyncio.Runner() as loop:

        def read(key: str) -> bytes:
            return loop.run(archive.read(key))

        work = _Ingestion(store, read, data, now, zone, tuple(embedding_models), catalog or {})
        networks, slugs = store.networks(), set[str]()
        for network in networks:
            work.take(network, include_running, is_second=slug(network.name) in slugs)
            slugs.add(slug(network.name))
    return Ingested(tuple(work.changed), work.runs, work.invocations, tuple(work.skipped))


class _Ingestion:
    """One ingestion, from its first network to its last."""

    def __init__(
        self,
        store: Store,
        read: Callable[[str], bytes],
        data: Path,
        now: Callable[[], datetime],
        zone: tzinfo | None,
        embedding_models: tuple[str, ...],
        catalog: Mapping[str, LiveModel],
    ) -> None:
        self._store, self._read, self._now, self._zone = store, read, now, zone
        self._embedding_models, self._catalog = embedding_models, catalog
        self._lake, self._files = Lake(data / "lake"), ExperimentFiles(data / "experiments")
        self.changed: list[str] = []
        self.skipped: list[str] = []
        self.runs = self.invocations = 0

    def take(self, network: Network, include_running: bool, is_second: bool) -> None:
        """All partitions of a network. ``is_second``: an older one is called the same."""
        held = held_partitions(self._lake, source_id(network.id))
        # The latest first, as the store gives them; a day's runs are together, since days don't go back.
        of_days = groupby(_runs(self._store, network), lambda run: day_of(run.number, run.started_at, self._zone, held))
        for day, latest_first in of_days:
            runs = [run for run in latest_first if run.state == "ended" or run.completed][::-1]
            ended = [run for run in runs if run.state == "ended"]
            going = [run for run in runs if run.state == "running"]
            wanted = runs if include_running else ended
            if not wanted:
                continue
            there = next((partition for partition in held if partition.day == day), None)
            before = self._lake.properties("imported_experiments", there.key).get(SEEN) if there else None
            seen: dict[str, str | None] = {"ended": _digest(ended), "running": _digest(going) if going else None}
            if going and not include_running:
                seen["running"] = before["running"] if before else None
            if before != seen:
                numbers = [run.number for run in wanted] + ([there.first, there.last] if there else [])
                key = there.key if there else self._new_key(network, day, is_second)
                place = Held(key, day, min(numbers), max(numbers))
                self._partition(network, place, wanted, seen)

    def _new_key(self, network: Network, day: date, is_second: bool) -> str:
        files, broken = self._files.read()
        # A night that was deleted from the lake may have left its file; it comes back under its name.
        taken = {name for name, (_, experiment) in files.items() if experiment.imported_from != SYSTEM}
        taken |= {path.stem for path in broken}
        for table in ("imported_experiments", "experiments", "runs"):
            taken |= set(self._lake.experiments(table))
        return experiment_key(network.name, network.id, day, is_second, taken.__contains__)

    def _partition(self, network: Network, place: Held, runs: list[Run], seen: dict[str, str | None]) -> None:
        generations = self._generations(place.key)
        with Partition(self._lake, network, place, self._now()) as partition:
            pending = [run for run in runs if not partition.has(run)]
            if pending:
                partition.begin()
            gaps = [gap for run in pending for gap in self._run(partition, network, run)]
            partition.commit()
            experiment = self._described(partition, network, place)
            partition.settle({prompt.text: _tags(prompt.tags) for prompt in experiment.prompts})
            register(self._lake, experiment, {})
            # Near the end, as a sensor runs what is there: the rows are whole by then, and the locks free in a moment.
            write_file(self._files, experiment)
            partition.mark(None if gaps else seen)
        self.skipped += gaps
        self.runs += partition.new_runs
        self.invocations += partition.new_invocations
        if self._generations(place.key) != generations:
            self.changed.append(place.key)

    def _described(self, partition: Partition, network: Network, place: Held) -> Experiment:
        held = self._files.read()[0].get(place.key)
        before = held[1].config if held else None
        return experiment_of(place, network.name, partition.runs, partition.invocations, self._embedding_models, before)

    def _run(self, partition: Partition, network: Network, run: Run) -> Iterator[str]:
        """All of a live run that the lake lacks; a sentence for each place at which it had to be cut."""
        open_ones: dict[int, Trajectory] = {}
        if run.state == "ended":
            open_ones[0] = partition.trajectory(run, 0)  # also where nothing came of it
        for step in trajectories(run, _invocations(self._store, run)):
            if step.first not in open_ones:
                for done in open_ones.values():
                    partition.finish(done, run, is_last=False)
                open_ones = {step.first: partition.trajectory(run, step.first)}
            of = open_ones[step.first]
            try:
                self._step(partition, of, step)
            except Unreadable as error:
                of.rejected += 1
                if of.rejected == 1:
                    yield f"{network.name}, run {run.number}: cut at step {step.number}: {error}"
        for done in open_ones.values():
            partition.finish(done, run, is_last=True)
        partition.commit_if_due()

    def _step(self, partition: Partition, of: Trajectory, step: Completed | Failed | Stray) -> None:
        """One step of a trajectory.

        Raises:
            Unreadable: it, or one before it, has no output that can be taken.
        """
        if isinstance(step, Stray):
            raise Unreadable(step.reason)
        model = self._catalog.get(step.invocation.model)
        device = model.platform if model else None
        if isinstance(step, Failed):
            of.fail(step.invocation)
            partition.add_event(of, step.invocation, device)
            return
        if of.rejected:
            raise Unreadable("a step before it can't be read")
        if partition.lacks(of, step.place):
            partition.add(of, step.place, step.invocation, self._medium(step.invocation), device)
        of.take(step.invocation)

    def _medium(self, invocation: Invocation) -> Medium | None:
        key = invocation.output_key
        if key is None:
            return None
        try:
            return medium_of(self._store.media(key), self._read(key))
        except LiveStoreError as error:
            if not isinstance(error, NotThere):
                raise
            raise Unreadable(str(error)) from error
        except (OSError, PanicError, KeyError, ValueError) as error:
            raise Unreadable(f"{key} can't be read from the archive: {error}") from error

    def _generations(self, key: str) -> list[int]:
        return [self._lake.generation(table, key) for table in (*TABLES, "experiments")]


def held_partitions(lake: Lake, network: str) -> list[Held]:
    """The partitions of a network, by the identifier that the lake has for it; reads manifests alone."""
    found = []
    for key in lake.experiments("imported_experiments"):
        place = lake.properties("imported_experiments", key).get(PLACE)
        if place and place["network"] == network:
            found.append(Held(key, date.fromisoformat(place["day"]), *place["numbers"]))
    return found


def _runs(store: Store, network: Network) -> Iterator[Run]:
    """The runs of a network, the latest first, a page at a time."""
    before: int | None = None
    while page := store.runs(network.id, limit=_RUNS_AT_ONCE, before=before):
        yield from page
        before = page[-1].number


def _invocations(store: Store, run: Run) -> Iterator[Invocation]:
    """The invocations of a run as far as it had come when it was read: what comes meanwhile is for the next time."""
    after, left = -1, run.completed + run.failed
    while left > 0 and (page := store.invocations(run.id, after=after, limit=min(left, _INVOCATIONS_AT_ONCE))):
        yield from page
        after, left = page[-1].sequence_number, left - len(page)


def _digest(runs: Sequence[Run]) -> str:
    return blake2b(json.dumps([state_of(run) for run in runs]).encode(), digest_size=16).hexdigest()


def _tags(tags: Mapping[str, str]) -> str | None:
    return json.dumps(tags, sort_keys=True, ensure_ascii=False) if tags else None
