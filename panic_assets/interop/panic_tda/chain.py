"""The chain of a run's invocations: which rows of the source are sound, and why the others are not.

Here belong the conditions that a row must meet to follow the one before it. The first that does not ends what can be
imported of its run: whatever came later followed from something else than what the source shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from panic_assets.interop.panic_tda.pictures import Picture, Seen
from panic_assets.interop.panic_tda.records import Rejected, SourceInvocation, SourceRun
from panic_assets.interop.panic_tda.report import Doubt, rejected

_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Sound:
    """A row that is imported. ``input_id`` is None where the source names nothing that exists."""

    record: SourceInvocation
    picture: Picture | None
    input_id: str | None


@dataclass
class Chain:
    """Judges the rows of one run, in order of their sequence numbers.

    ``media``: medium of each model in the experiment so far, which grows; ``exists`` says whether the source holds an
    invocation of an identifier.
    """

    run: SourceRun
    media: dict[str, str]
    exists: Callable[[str], bool]
    expected: int = 0
    _last: str | None = None
    _broken_by: str | None = None
    _ids: set[str] = field(default_factory=set)

    def judge(self, seen: Iterable[Seen]) -> Iterator[Sound | Rejected | Doubt]:
        """Every row once: as sound or rejected. Doubts about attributes of sound rows come before them."""
        group: list[Seen] = []
        for row in seen:
            if group and _place(row) != _place(group[0]):
                following = row.record.input_id if isinstance(row.record, SourceInvocation) else None
                yield from self._settle(group, following)
                group = []
            group.append(row)
        if group:
            yield from self._settle(group, None)

    def _settle(self, group: list[Seen], following: str | None) -> Iterator[Sound | Rejected | Doubt]:
        """Rows of one sequence number: at most one is sound, that which the next row names if it names one."""
        place = _place(group[0])
        for row in group:
            if isinstance(row.record, SourceInvocation):
                self._ids.add(row.record.source_id)
        if self._broken_by is not None:
            yield from (self._after_a_break(row) for row in group)
            return
        if place is not None and place < self.expected:
            yield from (self._reject(row, "gap", f"sequence_number {place} comes after it") for row in group)
            return
        defects = [self._defect(row) for row in group]
        sound = [row for row, defect in zip(group, defects, strict=True) if defect is None]
        chosen = next((row for row in sound if row.record.source_id == following), sound[0] if sound else None)
        for row, defect in zip(group, defects, strict=True):
            if row is chosen:
                yield from self._accept(row)
            elif defect is None:
                yield self._reject(row, "repeated_sequence", f"sequence_number {place} comes twice in this run")
            else:
                yield self._reject(row, *defect)
        if chosen is None and place is not None:
            self._broken_by = group[0].record.source_id

    def _accept(self, row: Seen) -> Iterator[Sound | Doubt]:
        record = row.record
        assert isinstance(record, SourceInvocation)
        input_id = record.input_id if record.input_id == self._last else None
        if record.input_id != self._last:
            said = f"names the input {record.input_id}, which is not in the database"
            kind = "dangling_input" if record.input_id else "missing_input"
            yield Doubt("invocations", record.source_id, kind, said if record.input_id else "names no input")
        self.media.setdefault(record.model, record.type)
        self.expected, self._last = self.expected + 1, record.source_id
        yield Sound(record, row.picture, input_id)

    def _defect(self, row: Seen) -> tuple[str, str] | None:
        """Kind and reason of the first condition that a row does not meet."""
        record = row.record
        if isinstance(record, Rejected):
            return record.kind, record.reason
        number, ring = record.sequence_number, self.run.network
        if number != self.expected:
            return "gap", f"sequence_number {number} follows {self.expected - 1}; {self.expected} is missing"
        model = ring[number % len(ring)]
        if record.model != model:
            return "wrong_model", f"model {record.model!r} at sequence_number {number}, where the ring has {model!r}"
        medium = self.media.get(record.model, record.type)
        if record.type not in ("text", "image") or record.type != medium:
            return "wrong_medium", f"type {record.type!r} of model {record.model!r}, which gives {medium}"
        return self._broken_link(record) or _output_defect(row)

    def _broken_link(self, record: SourceInvocation) -> tuple[str, str] | None:
        named = record.input_id
        if named is not None and named != self._last and (named in self._ids or self.exists(named)):
            before = self._last or "nothing, as it is the first"
            return "broken_chain", f"its input is {named}, but it follows {before}"
        if self.run.seed is not None and record.seed is not None and record.seed != self.run.seed:
            return "wrong_seed", f"seed {record.seed} in a run of seed {self.run.seed}"
        return None

    def _after_a_break(self, row: Seen) -> Rejected:
        if isinstance(row.record, Rejected):
            return row.record
        return self._reject(row, "after_a_break", f"it comes after the row {self._broken_by}, which is broken")

    @staticmethod
    def _reject(row: Seen, kind: str, reason: str) -> Rejected:
        return row.record if isinstance(row.record, Rejected) else rejected(row.record, kind, reason)


def _output_defect(row: Seen) -> tuple[str, str] | None:
    record = row.record
    assert isinstance(record, SourceInvocation)
    texts, pictures = record.text is not None, record.image is not None
    if texts and pictures:
        return "both_outputs", "it has both a text and a picture"
    if not (texts if record.type == "text" else pictures):
        other = f"; it has {'a text' if texts else 'a picture'} instead" if texts or pictures else ""
        return "no_output", f"it has no {record.type}{other}"
    if record.type == "image" and row.picture is None:
        return "undecodable_image", row.damage or "its picture has no bytes"
    return None


def _place(row: Seen) -> int | None:
    """The sequence number; of a row that could not be read what its columns say, if that is a number."""
    if isinstance(row.record, SourceInvocation):
        return row.record.sequence_number
    value = row.record.row.get("sequence_number")
    return value if isinstance(value, int) and -_LARGEST <= value <= _LARGEST else None
