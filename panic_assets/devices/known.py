"""What is remembered of models on devices: which batch sizes fit, what a call takes, what loading takes.

Here belong the facts, their file and the rules by which an estimate is made of them. Who measures is the caller's
business, finding a batch size that of ``probing``. The file is disposable: without it sizes are probed again.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median_low
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from panic_assets.lake.durable import replace_file
from panic_assets.lake.errors import LakeError
from panic_assets.lake.locks import locked
from panic_assets.models.entry import ModelEntry
from panic_assets.paths import cache_dir

LAST = 9
"""So many measurements are kept of each kind. The lower median of them is the estimate: the first call after a load is
often slow, and does not count as soon as there is a second."""
_A_LOAD_SECONDS = 0.01
_LOCK_SECONDS = 10.0

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Size = Annotated[int, Field(gt=0)]
Value = TypeVar("Value", int, float)
Key = tuple[str, str]


class Calls(BaseModel):
    """Calls of one batch size: how many there were, and the seconds in the model of the last ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    count: int = 0
    seconds: tuple[Seconds, ...] = ()

    def then(self, newer: Calls) -> Calls:
        """Both together."""
        return Calls(count=self.count + newer.count, seconds=_last(self.seconds, newer.seconds))


class Record(BaseModel):
    """What is known of a model on some hardware.

    ``model`` and ``resolution`` (height x width) are for people: the ``identity`` says all. The batch sizes that fit
    are those of ``calls``; ``batch_failed`` is the least that ran out of memory, ``batch_probed`` what probing chose.
    ``loads`` are seconds, ``memory_gb`` is the most GiB that the device had held while this model was alone in it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    resolution: str | None = None
    identity: str
    weights: str
    hardware: str
    batch_failed: Size | None = None
    batch_probed: Size | None = None
    calls: dict[Size, Calls] = {}
    loads: tuple[Seconds, ...] = ()
    memory_gb: Seconds | None = None

    @property
    def key(self) -> Key:
        """What no two records of a file share."""
        return self.identity, self.hardware

    def then(self, newer: Record) -> Record:
        """Both together; nothing of either is lost but old measurements beyond the last ones."""
        calls = dict(self.calls)
        for batch, added in newer.calls.items():
            calls[batch] = calls.get(batch, Calls()).then(added)
        return Record(
            model=newer.model,
            resolution=self.resolution,
            identity=self.identity,
            weights=self.weights,
            hardware=self.hardware,
            batch_failed=_either(min, self.batch_failed, newer.batch_failed),
            batch_probed=newer.batch_probed or self.batch_probed,
            calls=calls,
            loads=_last(self.loads, newer.loads),
            memory_gb=_either(max, self.memory_gb, newer.memory_gb),
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    records: list[Record] = []


_FILE = TypeAdapter(_File)


class KnownFacts:
    """The memory of models on devices. Notes stay in this process until `save`; safe to use from several threads.

    A model is known by everything that its outputs depend on, its batch size excepted: another cap needs no new
    measurements. Sizes of pictures that a model is given are not looked at.

    Args:
        path: the file; ``devices.json`` among the disposable files if None. It need not exist.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_dir() / "devices.json"
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._identities: dict[int, tuple[ModelEntry, str, str]] = {}
        self._fresh: dict[Key, Record] = {}
        self._records = self._read()

    def batch_for(self, entry: ModelEntry, hardware: str) -> int | None:
        """The batch size to use: the registered one, else the probed one; None if it must be probed first.

        It is halved until it is below what is known to run out of memory.
        """
        record = self._record(entry, hardware)
        size = entry.batch or (record.batch_probed if record else None)
        while size and size > 1 and record and record.batch_failed and size >= record.batch_failed:
            size //= 2
        return size

    def batch_failed(self, entry: ModelEntry, hardware: str) -> int | None:
        """The least batch size that ran out of memory; None if none is known to."""
        record = self._record(entry, hardware)
        return record.batch_failed if record else None

    def seconds(self, entry: ModelEntry, hardware: str, batch: int) -> float | None:
        """What a call of this size takes in the model; None if no size was measured. See `between`."""
        record = self._record(entry, hardware)
        return between({size: median_low(c.seconds) for size, c in record.calls.items()}, batch) if record else None

    def load_seconds(self, entry: ModelEntry, hardware: str) -> float | None:
        """What loading takes, as any entry with the same weights has shown; None if it was not measured."""
        with self._lock:
            _, weights = self._identity(entry)
            records = [r for r in self._records.values() if (r.weights, r.hardware) == (weights, hardware)]
        loads = [seconds for record in records for seconds in record.loads]
        return median_low(loads) if loads else None

    def memory_gb(self, entry: ModelEntry, hardware: str) -> float | None:
        """The most GiB that the device had held while this model was alone in it; None if that was not measured."""
        record = self._record(entry, hardware)
        return record.memory_gb if record else None

    def note_call(self, entry: ModelEntry, hardware: str, batch: int, seconds: float) -> None:
        """A call of this size went well and took so long in the model.

        Raises:
            ValueError: ``batch`` is less than 1, or ``seconds`` negative or not finite; so for the notes below.
        """
        self._note(entry, hardware, calls={batch: Calls(count=1, seconds=(seconds,))})

    def note_load(self, entry: ModelEntry, hardware: str, seconds: float, memory_gb: float | None = None) -> None:
        """Loading took so long; less than 0.01 s is looking up what was loaded before, and is not counted."""
        loads = () if 0 <= seconds < _A_LOAD_SECONDS else (seconds,)
        if loads or memory_gb is not None:
            self._note(entry, hardware, loads=loads, memory_gb=memory_gb)

    def note_out_of_memory(self, entry: ModelEntry, hardware: str, batch: int) -> None:
        """A batch of this size did not fit. That a single item did not says nothing of batch sizes, and is dropped."""
        if batch > 1:
            self._note(entry, hardware, batch_failed=batch)

    def note_probed(self, entry: ModelEntry, hardware: str, batch: int) -> None:
        """Probing found this size to be the best."""
        self._note(entry, hardware, batch_probed=batch)

    def save(self) -> None:
        """Add what was noted to the file, and learn what other processes have added to it since.

        What was deleted from the file is forgotten here too. If it can't be written there is a warning, and the notes
        stay here for the next time.
        """
        with self._saving:
            with self._lock:
                fresh, self._fresh = self._fresh, {}
            if not fresh:
                return
            try:
                with locked(self._lock_path, _LOCK_SECONDS):
                    merged = _together(self._parse_or_set_aside(), fresh)
                    content = _File(records=sorted(merged.values(), key=lambda r: (r.model, r.key)))
                    replace_file(self.path, content.model_dump_json(indent=1, exclude_none=True).encode())
            except (LakeError, OSError) as error:
                with self._lock:
                    self._fresh = _together(fresh, self._fresh)
                warnings.warn(f"what was learnt of the devices was not saved: {error}", RuntimeWarning, stacklevel=2)
                return
            with self._lock:
                self._records = _together(merged, self._fresh)

    @property
    def _lock_path(self) -> Path:
        return self.path.with_suffix(".lock")

    def _identity(self, entry: ModelEntry) -> tuple[str, str]:
        """Of the model and of its weights. Hashing takes longer than a note may, so it is done once for an entry."""
        if id(entry) not in self._identities:  # the entry is kept, so that no other gets its id
            identity = entry.model_copy(update={"batch": 1}).identity
            self._identities[id(entry)] = (entry, identity, entry.load_identity)
        return self._identities[id(entry)][1:]

    def _record(self, entry: ModelEntry, hardware: str) -> Record | None:
        with self._lock:
            return self._records.get((self._identity(entry)[0], hardware))

    def _note(self, entry: ModelEntry, hardware: str, **learnt: Any) -> None:
        with self._lock:
            identity, weights = self._identity(entry)
            note = Record(
                model=entry.name,
                resolution=_resolution(entry.parameters),
                identity=identity,
                weights=weights,
                hardware=hardware,
                **learnt,
            )
            for records in (self._records, self._fresh):
                records[note.key] = records[note.key].then(note) if note.key in records else note

    def _read(self) -> dict[Key, Record]:
        """The file as it is; if it is damaged, that is settled with the lock held, for another may be mending it."""
        try:
            return self._parse()
        except (OSError, ValueError):
            pass
        try:
            with locked(self._lock_path, _LOCK_SECONDS):
                return self._parse_or_set_aside()
        except (LakeError, OSError) as error:
            warnings.warn(f"{self.path} could not be read, and is not used: {error}", RuntimeWarning, stacklevel=2)
            return {}

    def _parse(self) -> dict[Key, Record]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        return {record.key: record for record in _FILE.validate_json(content).records}

    def _parse_or_set_aside(self) -> dict[Key, Record]:
        try:
            return self._parse()
        except ValueError as error:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            os.replace(self.path, aside)
            reason = str(error).splitlines()[0]
            warnings.warn(
                f"{self.path} is damaged ({reason}): it is now {aside.name}, and batch sizes are found again",
                RuntimeWarning,
                stacklevel=2,
            )
            return {}


def between(measured: Mapping[int, float], batch: int) -> float | None:
    """Seconds of a call of ``batch`` items, from the seconds of measured sizes; None if there are none.

    At a measured size, its seconds. Between two, on the line through them. Beyond the largest, on the line through the
    two largest, but not less than the largest takes. Below the smallest, on the line through the two smallest, but
    neither more than the smallest takes nor less than its share of items. With one size, its share of items.
    """
    if batch in measured:
        return measured[batch]
    sizes = sorted(measured)
    if not sizes:
        return None
    if len(sizes) == 1:
        return measured[sizes[0]] * batch / sizes[0]
    # The right one of the two sizes that give the line.
    right = next((place for place, size in enumerate(sizes) if size > batch and place), len(sizes) - 1)
    low, high = sizes[right - 1], sizes[right]
    line = measured[low] + (measured[high] - measured[low]) * (batch - low) / (high - low)
    if batch > high:
        return max(line, measured[high])
    if batch < low:
        return min(max(line, measured[low] * batch / low), measured[low])
    return line


def _together(first: Mapping[Key, Record], newer: Mapping[Key, Record]) -> dict[Key, Record]:
    return {**first, **{key: first[key].then(record) if key in first else record for key, record in newer.items()}}


def _last(first: Sequence[float], newer: Sequence[float]) -> tuple[float, ...]:
    return (*first, *newer)[-LAST:]


def _either(choose: Any, first: Value | None, second: Value | None) -> Value | None:
    given: list[Value] = [value for value in (first, second) if value is not None]
    return choose(given) if given else None


def _resolution(parameters: Mapping[str, Any]) -> str | None:
    height, width = parameters.get("height"), parameters.get("width")
    return f"{height}x{width}" if height and width else None
