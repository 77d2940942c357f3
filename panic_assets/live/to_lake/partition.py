"""The partition of a network and a day: its locks, what it holds, and the order of commits.

Here belongs writing. Rows of a live run only ever come on top of those that are there, so that what a killed ingestion
left is gone on from; each table is told nothing twice. What is ``seen`` says, in the properties of
``imported_experiments``, which runs are whole; it is written last.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import Any

import pyarrow.compute as pc

from panic_assets.lake import Lake
from panic_assets.lake.writer import Writer
from panic_assets.live.records import Invocation, Network, Run
from panic_assets.live.to_lake import rows
from panic_assets.live.to_lake.media import Medium
from panic_assets.live.to_lake.names import Held, run_identity, source_id
from panic_assets.live.to_lake.rows import Trajectory
from panic_assets.loop.places import settle_places

#: In the order of their commits: what a row names is there before it.
TABLES = (
    "imported_experiments",
    "prompts",
    "runs",
    "images",
    "sounds",
    "invocations",
    "imported_invocations",
    "events",
    "outcomes",
    "imported_runs",
)
#: Those with one row for each run, which is put in the place of the one before.
_OF_RUNS = ("runs", "outcomes", "imported_runs")
_LOCK_SECONDS = 30.0
_COMMIT_ROWS, _COMMIT_BYTES, _COMMIT_SECONDS = 5000, 256 * 2**20, 30.0
_APPEND_ROWS, _APPEND_BYTES = 500, 16 * 2**20
SEEN, PLACE = "seen", "live"


class Partition:
    """Writers of one experiment's tables, and what they hold; a context manager."""

    def __init__(self, lake: Lake, network: Network, place: Held, now: datetime) -> None:
        self._lake, self._network, self._place, self._now = lake, network, place, now
        self.key = place.key
        self._locks, self._writers = ExitStack(), dict[str, Writer]()
        self._waiting: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._replaced: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self._held: dict[str, dict[int, dict[str, Any]]] = {}
        self._sizes: Counter[str] = Counter()
        self._rows, self._bytes, self._since = 0, 0, time.monotonic()
        self._is_resettled = False

    def __enter__(self) -> Partition:
        """Take the locks, then see what is there.

        Raises:
            PartitionLocked: somebody else is at work on a table of the experiment.
        """
        with ExitStack() as locks:
            for table in TABLES:
                self._writers[table] = locks.enter_context(self._lake.writer(table, self.key, timeout=_LOCK_SECONDS))
            self._look()
            self._locks = locks.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the locks back; what was not committed is dropped."""
        self._locks.__exit__(kind, error, trace)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Rows of ``runs``, in order, those included that are not committed yet."""
        return [self._runs[identity] for identity in self._runs]

    @property
    def invocations(self) -> int:
        """How many outputs the runs have."""
        return sum(row["length"] for row in (self._held["outcomes"] | self._replaced["outcomes"]).values())

    def begin(self) -> None:
        """Say whose partition it is, and mark it as not whole, by the first commit."""
        self._describe()
        place = {
            "network": source_id(self._network.id),
            "day": self._place.day.isoformat(),
            "numbers": [self._place.first, self._place.last],
        }
        for name, value in ((PLACE, place), (SEEN, None)):
            if self._writers["imported_experiments"].properties.get(name) != value:
                self._writers["imported_experiments"].set_property(name, value)

    def settle(self, tags: Mapping[str, str | None]) -> None:
        """Commit what follows from all rows together; ``tags`` of prompts, as JSON."""
        self._describe()
        self._prompts(tags)
        if self._is_resettled:
            settle_places(self._lake, self.key, self._writers["images"])
        self.commit()

    def mark(self, seen: Mapping[str, str | None] | None) -> None:
        """Say what is whole now; None: not all of it."""
        writer = self._writers["imported_experiments"]
        if writer.properties.get(SEEN) != seen:
            writer.set_property(SEEN, dict(seen) if seen else None)
        writer.commit()

    def has(self, run: Run) -> bool:
        """Whether all of a live run is there, as it is now."""
        held = [row for row in self._held["imported_runs"].values() if row["source_id"] == source_id(run.id)]
        state = rows.state_of(run)
        return bool(held) and all(row["fingerprint"] == state and not row["rejected"] for row in held)

    def trajectory(self, run: Run, first: int) -> Trajectory:
        """The one that begins at that place of a live run; it keeps its number, or gets the next."""
        identity = run_identity(run.id, first)
        if identity not in self._runs:
            number = max((row["run_number"] for row in self._runs.values()), default=-1) + 1
            prompt_number = self._prompt_numbers.setdefault(
                run.prompt, max(self._prompt_numbers.values(), default=-1) + 1
            )
            row = rows.runs_row(self._of(number), identity, run, prompt_number, 0)
            equal = (row["network"], row["prompt"])
            row["replicate"] = sum((other["network"], other["prompt"]) == equal for other in self._runs.values())
            self._runs[identity] = row
            self.new_runs += 1
        planned = self._runs[identity]
        return Trajectory(first, planned, flagged=self._flagged[planned["run_number"]])

    def lacks(self, trajectory: Trajectory, place: int) -> bool:
        """Whether an output has still to be written, to any table."""
        number = trajectory.planned["run_number"]
        return place >= min(self._counts[table][number] for table in ("invocations", "imported_invocations"))

    def add(self, of: Trajectory, place: int, row: Invocation, medium: Medium | None, device: str | None) -> None:
        """Add an output that it lacks."""
        number = of.planned["run_number"]
        if medium is not None:
            self._add(medium.table, rows.medium_row(self._of(number), place, medium), medium.size)
        if place >= self._counts["invocations"][number]:
            made = rows.invocation_row(self._of(number), of, place, row, device)
            if medium is not None:
                made |= {**medium.columns, "flags": medium.flags}
            of.flagged += bool(made["flags"])
            self._add("invocations", made, len(row.output_text or ""))
            self.new_invocations += 1
        if place >= self._counts["imported_invocations"][number]:
            self._add("imported_invocations", rows.source_row(self._of(number), of, place, row))

    def add_event(self, of: Trajectory, row: Invocation, device: str | None) -> None:
        """Add a step without an output, unless it is there."""
        event = rows.event_row(self.key, of.planned["run_number"], row, device)
        if event["message"] not in self._messages:
            self._messages.add(event["message"])
            self._add("events", {"number": self._events, **event})
            self._events += 1

    def finish(self, of: Trajectory, run: Run, is_last: bool) -> None:
        """Add how a trajectory ended, where the lake says otherwise."""
        number = of.planned["run_number"]
        of.planned["max_length"] = rows.longest(run, self._network, of.length)
        was_cut = self._held["imported_runs"].get(number, {}).get("rejected", 0)
        self._is_resettled |= was_cut > of.rejected
        for table, row in (
            ("runs", dict(of.planned)),
            ("outcomes", rows.outcome_row(self._of(number), of, run, is_last)),
            ("imported_runs", rows.imported_row(self._of(number), of, run, is_last)),
        ):
            held = self._held[table].get(number)
            if held is None or any(value != row.get(name) for name, value in held.items()):
                self._replaced[table][number] = row
                self._rows += 1

    def commit_if_due(self) -> None:
        """Commit if much has come since the last time; to be called when a live run is at its end."""
        if (
            self._rows >= _COMMIT_ROWS
            or self._bytes >= _COMMIT_BYTES
            or time.monotonic() - self._since >= _COMMIT_SECONDS
        ):
            self.commit()

    def commit(self) -> None:
        """Make visible what was added so far, in the order of the tables."""
        self._prompts({})
        for table in TABLES:
            self._commit(table)
        self._rows, self._bytes, self._since = 0, 0, time.monotonic()

    def _look(self) -> None:
        lake, key = self._lake, self.key
        for table in _OF_RUNS:
            self._held[table] = {row["run_number"]: row for row in lake.read(table, key).to_pylist()}
        self._runs = {row["run_id"]: dict(row) for _, row in sorted(self._held["runs"].items())}
        self._held_prompts = {row["prompt_number"]: row for row in lake.read("prompts", key).to_pylist()}
        self._prompt_numbers = {row["prompt"]: number for number, row in self._held_prompts.items()}
        self._counts: dict[str, Counter[int]] = {}
        for table in ("invocations", "imported_invocations"):
            numbers = lake.read(table, key, columns=["run_number"]).column(0)
            self._counts[table] = Counter({e["values"]: e["counts"] for e in pc.value_counts(numbers).to_pylist()})
        marked = lake.read("invocations", key, columns=["run_number", "flags"]).to_pylist()
        self._flagged = Counter(row["run_number"] for row in marked if row["flags"])
        messages = lake.read("events", key, columns=["message"]).column(0).to_pylist()
        self._messages, self._events = set(messages), len(messages)
        self.new_runs = self.new_invocations = 0

    def _of(self, number: int) -> dict[str, Any]:
        return {"experiment": self.key, "run_number": number}

    def _add(self, table: str, row: dict[str, Any], size: int = 0) -> None:
        self._waiting[table].append(row)
        self._sizes[table] += size
        self._rows, self._bytes = self._rows + 1, self._bytes + size
        if len(self._waiting[table]) >= _APPEND_ROWS or self._sizes[table] >= _APPEND_BYTES:
            self._append(table)

    def _append(self, table: str) -> None:
        waiting = self._waiting.pop(table, [])
        self._sizes[table] = 0
        if waiting:
            self._writers[table].append(waiting)

    def _commit(self, table: str) -> None:
        self._append(table)
        replaced = self._replaced.pop(table, {})
        if replaced:
            there = sorted(replaced.keys() & self._held[table].keys())
            writer = self._writers[table]
            if there:
                writer.replace([], {"run_number": there})
            writer.append(list(replaced.values()))
            self._held[table] |= replaced
        self._writers[table].commit()

    def _describe(self) -> None:
        """Write where the experiment comes from; when it was first ingested, and under which name, stays as it was."""
        planned = [row for row in self.runs if "max_length" in row]
        row = rows.experiment_row(self.key, self._network, planned, self._now)
        held = self._lake.read("imported_experiments", self.key).to_pylist()
        row |= {name: held[0][name] for name in ("imported_at", "source_file")} if held else {}
        if not held or any(value != row.get(name) for name, value in held[0].items()):
            self._writers["imported_experiments"].replace([row], {})

    def _prompts(self, tags: Mapping[str, str | None]) -> None:
        """New prompts, and new tags of those that are there."""
        full = {
            number: {"experiment": self.key, "prompt_number": number, "prompt": text, "tags": tags.get(text)}
            for text, number in self._prompt_numbers.items()
        }
        for number, row in full.items():
            if row["prompt"] not in tags and number in self._held_prompts:
                row["tags"] = self._held_prompts[number]["tags"]
        if full != self._held_prompts:
            self._writers["prompts"].replace([full[number] for number in sorted(full)], {})
            self._held_prompts = full
