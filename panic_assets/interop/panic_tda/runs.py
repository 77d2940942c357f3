"""One run of the source, with all that hangs on it: invocations, embeddings, diagrams, assignments.

Here belongs the way of a run's rows from the source to a sink or to the quarantine. Children of what was rejected are
rejected, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import numpy as np

from panic_assets.interop.panic_tda.chain import Chain, Sound
from panic_assets.interop.panic_tda.context import Context
from panic_assets.interop.panic_tda.endings import Ending
from panic_assets.interop.panic_tda.mapping import model_name
from panic_assets.interop.panic_tda.mending import mended
from panic_assets.interop.panic_tda.partition import Sink
from panic_assets.interop.panic_tda.pictures import look_at
from panic_assets.interop.panic_tda.records import (
    Rejected,
    SourceAssignment,
    SourceDiagram,
    SourceEmbedding,
    SourceRun,
    Times,
)
from panic_assets.interop.panic_tda.report import IMPORTED, SKIPPED, Doubt, Tally, rejected
from panic_assets.interop.panic_tda.vectors import Point
from panic_assets.loop.ids import invocation_id
from panic_assets.loop.planning import RunPlan

T = TypeVar("T")


@dataclass
class RunImport:
    """Takes one run over into ``sink``; ``tally`` counts what became of its rows."""

    context: Context
    plan: RunPlan
    run: SourceRun
    sink: Sink
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._ending = Ending(self.run, self.context.source.era)
        self._places: dict[str, tuple[int, str]] = {}  # of imported invocations: sequence number and medium
        self._embedded: dict[str, tuple[int, str]] = {}  # of imported embeddings: sequence number and model
        self._flagged = 0
        self._started: datetime | None = None
        self._completed: datetime | None = None

    def import_all(self, fingerprint: str) -> None:
        """All rows of the run; those that mark it as whole last."""
        self.tally.add("runs", IMPORTED)
        self._invocations()
        self._embeddings()
        self.diagrams()
        self._assignments()
        self._end(fingerprint)

    @property
    def _key(self) -> dict[str, Any]:
        return {"experiment": self.context.experiment, "run_number": self.plan.run_number}

    def _reject(self, row: Rejected) -> None:
        self.context.quarantine.reject(self.tally, row, self.context.experiment)

    def _mended(self, holds: str, rows: Iterable[T | Rejected]) -> Iterator[T | Rejected]:
        """Rows with their bad attributes left out, which is told."""
        for row in mended(self.context.source, holds, rows):
            if isinstance(row, Doubt):
                self.context.quarantine.doubt(self.tally, row, self.context.experiment)
            else:
                yield row

    def _invocations(self) -> None:
        context = self.context
        records = self._mended("invocations", context.source.invocations(self.run.source_id))
        chain = Chain(self.run, context.media, context.source.has_invocation)
        for judged in chain.judge(look_at(records, context.threads, self._ending.is_judged)):
            if isinstance(judged, Doubt):
                context.quarantine.doubt(self.tally, judged, context.experiment)
                continue
            if isinstance(judged, Rejected):
                self._reject(judged)
            else:
                self._invocation(judged)
            context.on_rows(1)

    def _invocation(self, sound: Sound) -> None:
        record, picture = sound.record, sound.picture
        self._ending.watch(record.text, picture)
        self._places[record.source_id] = (record.sequence_number, record.type)
        self.tally.add("invocations", IMPORTED)
        if picture is not None:
            assert record.image is not None
            image = {
                "experiment": self.context.experiment,
                "image_hash": picture.image_hash,
                "run_number": self.plan.run_number,
                "sequence_number": record.sequence_number,
                "format": picture.format,
                "width": picture.width,
                "height": picture.height,
                "byte_size": len(record.image),
                "image": record.image,
            }
            self.sink.add("images", image, len(record.image))
        flag = picture.flag if picture else None if (record.text or "").strip() else "empty_text"
        self._flagged += flag is not None
        times = record.times
        if times.started_at:
            self._started = min(self._started or times.started_at, times.started_at)
        if times.completed_at:
            self._completed = max(self._completed or times.completed_at, times.completed_at)
        place = self._key | {"sequence_number": record.sequence_number}
        row = {
            "invocation_id": invocation_id(self.plan.run_id, record.sequence_number),
            "model": record.model,
            "type": record.type,
            "seed": record.seed if self._ending.is_seeded else None,
            "text": record.text,
            "image_hash": picture.image_hash if picture else None,
            "flags": [flag] if flag else [],
            "started_at": times.started_at,
            "completed_at": times.completed_at,
        }
        self.sink.add("invocations", place | row, len(record.text or ""))
        own = {"source_id": record.source_id, "input_source_id": sound.input_id}
        self.sink.add("imported_invocations", place | own | _written(times))

    def _embeddings(self) -> None:
        model: str | None = None
        points: dict[int, Point] = {}  # of one model, by sequence number
        for record in self._mended("embeddings", self.context.source.embeddings(self.run.source_id)):
            point = self._point(record)
            if isinstance(point, Rejected):
                self._reject(point)
                continue
            if point.record.embedding_model != model:
                self._of_model(model, points)
                model, points = point.record.embedding_model, {}
            if point.sequence_number in points:
                reason = f"a second vector of {model} for invocation {point.record.invocation_id}"
                self._reject(rejected(point.record, "repeated_embedding", reason))
            else:
                points[point.sequence_number] = point
        self._of_model(model, points)

    def _point(self, record: SourceEmbedding | Rejected) -> Point | Rejected:
        if isinstance(record, Rejected):
            return record
        place = self._places.get(record.invocation_id)
        if place is None:
            return rejected(record, "parent_rejected", f"its invocation {record.invocation_id} was not imported")
        if record.vector is None:
            return rejected(record, "null_vector", f"vector of {record.embedding_model} is null")
        if record.vector.ndim != 1 or not len(record.vector) or not np.isfinite(record.vector).all():
            return rejected(record, "bad_vector", f"vector of {record.embedding_model} is empty or not finite")
        return Point(record, *place)

    def _of_model(self, model: str | None, points: Mapping[int, Point]) -> None:
        if model is None or not points:
            return
        spaces = self.context.spaces
        in_order = [points[number] for number in sorted(points)]
        dimension = spaces.dimension(model, in_order)
        fitting = []
        for point in in_order:
            size = len(point.record.vector) if point.record.vector is not None else 0
            if size == dimension:
                fitting.append(point)
                continue
            reason = f"vector of {model} has {size} numbers, others of this experiment have {dimension}"
            self._reject(rejected(point.record, "other_dimension", reason))
        if not fitting:
            return
        for point in spaces.strangers(model, fitting):
            said = f"a vector of an output of type {point.modality}; others of {model} are not"
            doubt = Doubt("embeddings", point.record.source_id, "other_medium", said)
            self.context.quarantine.doubt(self.tally, doubt, self.context.experiment)
        spaces.add(self.sink, self.context.experiment, self.plan.run_number, model, fitting)
        for point in fitting:
            record = point.record
            self._embedded[record.source_id] = (point.sequence_number, model)
            row = self._key | {"sequence_number": point.sequence_number, "embedding_model": model_name(model)}
            self.sink.add("imported_embeddings", row | {"source_id": record.source_id} | vars(record.times))
        self.tally.add("embeddings", IMPORTED, len(fitting))

    def diagrams(self) -> None:
        """The run's diagrams; counted as skipped where an option leaves them out."""
        models: set[str] = set()
        for record in self._mended("diagrams", self.context.source.diagrams(self.run.source_id)):
            if self.context.skip_diagrams:
                self.tally.add("diagrams", SKIPPED)
            elif isinstance(record, Rejected):
                self._reject(record)
            elif record.embedding_model in models:
                self._reject(rejected(record, "repeated_diagram", f"a second one in {record.embedding_model}"))
            elif not record.diagrams:
                self._reject(rejected(record, "null_diagram", f"diagram_data in {record.embedding_model} is empty"))
            else:
                models.add(record.embedding_model)
                self._diagram(record)

    def _diagram(self, record: SourceDiagram) -> None:
        assert record.diagrams is not None
        entropies = record.entropy or []
        for dimension, bars in enumerate(record.diagrams):
            row = {
                "embedding_model": model_name(record.embedding_model),
                "homology_dimension": dimension,
                "source_id": record.source_id,
                "births": bars[:, 0].tolist(),
                "deaths": bars[:, 1].tolist(),
                "entropy": entropies[dimension] if dimension < len(entropies) else None,
                "more": record.more if dimension == 0 else None,
            }
            self.sink.add(
                "imported_diagrams", self._key | row | vars(record.times), bars.nbytes + len(record.more or b"")
            )
        self.tally.add("diagrams", IMPORTED)

    def _assignments(self) -> None:
        taken: set[tuple[str, int]] = set()
        for record in self.context.source.assignments(self.run.source_id):
            place = self._assigned(record, taken)
            if isinstance(place, Rejected):
                self._reject(place)
                continue
            assert isinstance(record, SourceAssignment)
            number, model = place
            taken.add((record.clustering_id, number))
            self.context.assigned.add(record.clustering_id)
            row = {
                "clustering_source_id": record.clustering_id,
                "embedding_model": model_name(model),
                "sequence_number": number,
                "source_id": record.source_id,
                "medoid_source_id": record.medoid_embedding_id,
            }
            self.sink.add("imported_assignments", self._key | row | _written(record.times))
            self.tally.add("assignments", IMPORTED)

    def _assigned(self, record: SourceAssignment | Rejected, taken: set[tuple[str, int]]) -> tuple[int, str] | Rejected:
        if isinstance(record, Rejected):
            return record
        place = self._embedded.get(record.embedding_id)
        if place is None:
            return rejected(record, "parent_rejected", f"its embedding {record.embedding_id} was not imported")
        clustering = self.context.clusterings.get(record.clustering_id)
        if clustering is None:
            return rejected(record, "parent_rejected", f"its clustering {record.clustering_id} was not imported")
        number, model = place
        if clustering.embedding_model != model:
            reason = f"its embedding is of {model}, its clustering is of {clustering.embedding_model}"
            return rejected(record, "wrong_model", reason)
        if (record.clustering_id, number) in taken:
            return rejected(record, "repeated_assignment", f"a second one of embedding {record.embedding_id}")
        return place

    def _end(self, fingerprint: str) -> None:
        ending = self._ending
        cycle = ending.cycle
        outcome = {
            "stop_reason": ending.stop_reason(),
            "length": ending.length,
            "transient_length": cycle.transient if cycle else None,
            "cycle_length": cycle.length if cycle else None,
            "flagged": self._flagged,
            "started_at": self._started,
            "completed_at": self._completed,
        }
        self.sink.add("outcomes", self._key | outcome)
        refused = self.tally.of("invocations", "rejected")
        reason, loop = ending.source_stop(refused)
        row = {
            "source_id": self.run.source_id,
            "source_seed": self.run.seed,
            "source_run_number": self.run.run_number,
            "source_stop_reason": reason,
            "source_loop_length": loop,
            "source_invocations": ending.length + refused,
            "rejected": refused,
            "tally": self.tally.json,
            "fingerprint": fingerprint,
        }
        self.sink.add("imported_runs", self._key | row | _written(self.run.times))


def _written(times: Times) -> dict[str, Any]:
    return {"inserted_at": times.inserted_at, "updated_at": times.updated_at}
