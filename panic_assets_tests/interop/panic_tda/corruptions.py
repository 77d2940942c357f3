"""Ways in which a PANIC-TDA database can be broken, by name. No tests here.

``found_by`` says who must notice: "row" (the reader rejects the row), "orphan" (the reader lists it among the orphans),
or "importer" (every row is sound by itself; only their chain is not).
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from panic_assets_tests.interop.panic_tda.content import IMAGE_EMBEDDING, TEXT_EMBEDDING, Content

PYTHON = {"experiments": "experimentconfig", "runs": "run", "invocations": "invocation", "embeddings": "embedding"}
PYTHON |= {"diagrams": "persistencediagram", "clusterings": "clusteringresult", "assignments": "embeddingcluster"}
ELIXIR = {"experiments": "experiments", "runs": "runs", "invocations": "invocations", "embeddings": "embeddings"}
ELIXIR |= {"diagrams": "persistence_diagrams", "clusterings": "clustering_results"}
ELIXIR |= {"assignments": "embedding_clusters", "exponents": "lyapunov_results"}
NOBODY = "0" * 31 + "f"
LARGE_FLOAT = 6.88e30


@dataclass(frozen=True)
class Damage:
    """One broken row: ``table`` as the source calls it; ``kind`` of its rejection, if the reader finds it."""

    name: str
    table: str
    source_id: str
    kind: str
    found_by: str


@dataclass(frozen=True)
class Corruption:
    """``of``: whose rows; ``which``: more exactly; ``apply(bench, id)`` breaks that row."""

    of: str
    kind: str
    found_by: str
    apply: Callable[[Bench, str], Any]
    which: str = ""
    eras: tuple[str, ...] = ("python", "elixir")


class Bench:
    """A sound database, about to be broken."""

    def __init__(self, connection: sqlite3.Connection, content: Content) -> None:
        self.connection, self.content = connection, content
        self.tables = PYTHON if content.era == "python" else ELIXIR
        self.image = "output_image_data" if content.era == "python" else "output_image"
        self.used: set[str] = set()

    def spell(self, identifier: str) -> str:
        return identifier if self.content.era == "python" else str(UUID(identifier))

    def put(self, of: str, identifier: str, column: str, value: Any, sql: str = "?") -> None:
        column = self.image if column == "image" else column
        done = self.connection.execute(
            f"UPDATE {self.tables[of]} SET {column} = {sql} WHERE id = ?", (value, self.spell(identifier))
        )
        assert done.rowcount == 1, (of, identifier)

    def lift(self, of: str) -> None:
        """Drop the unique indexes of a table, as in a copy that somebody restored by hand."""
        query = "SELECT name FROM sqlite_master WHERE type='index' AND tbl_name=? AND sql LIKE '%UNIQUE%'"
        for (name,) in self.connection.execute(query, (self.tables[of],)).fetchall():
            self.connection.execute(f"DROP INDEX {name}")

    def take(self, of: str, which: str) -> str:
        """The next row of that sort that nothing has broken yet; invocations come from the midst of a run."""
        for row in getattr(self.content, of):
            if row.source_id not in self.used and self._fits(row, which):
                self.used.add(row.source_id)
                if of == "invocations":
                    self.used.update(i.source_id for i in self.content.invocations if i.run_id == row.run_id)
                return str(row.source_id)
        raise AssertionError(f"no {of} {which} left to break; build a larger database")

    def _fits(self, row: Any, which: str) -> bool:
        if which in ("text", "image"):
            return row.type == which and row.sequence_number in (2, 3)
        if which in (TEXT_EMBEDDING, IMAGE_EMBEDDING):
            return bool(row.embedding_model == which)
        return which != "clustered" or row.medoid_embedding_id is not None

    def sibling(self, identifier: str, step: int) -> str:
        """The invocation that many places further on in the same run."""
        own = next(i for i in self.content.invocations if i.source_id == identifier)
        place = own.sequence_number + step
        return next(
            i.source_id for i in self.content.invocations if i.run_id == own.run_id and i.sequence_number == place
        )


def _put(of: str, column: str, value: Any, sql: str = "?") -> Callable[[Bench, str], None]:
    return lambda bench, identifier: bench.put(of, identifier, column, value, sql)


def _link(of: str, column: str) -> Callable[[Bench, str], None]:
    def apply(bench: Bench, identifier: str) -> None:
        bench.connection.execute("PRAGMA foreign_keys=OFF")
        bench.put(of, identifier, column, bench.spell(NOBODY))

    return apply


def _wrong_modality(bench: Bench, identifier: str) -> None:
    bench.lift("embeddings")
    bench.put("embeddings", identifier, "embedding_model", IMAGE_EMBEDDING)


def _duplicate(bench: Bench, identifier: str) -> None:
    bench.lift("invocations")
    bench.put("invocations", identifier, "sequence_number", 1)


def _gap(bench: Bench, identifier: str) -> None:
    """With all that belongs to it, so that nothing but the gap is left."""
    gone = [e.source_id for e in bench.content.embeddings if e.invocation_id == identifier]
    for of, column, ids in (
        ("assignments", "embedding_id", gone),
        ("embeddings", "id", gone),
        ("invocations", "id", [identifier]),
    ):
        for one in ids:
            bench.connection.execute(f"DELETE FROM {bench.tables[of]} WHERE {column} = ?", (bench.spell(one),))


def _foreign_input(bench: Bench, identifier: str) -> None:
    own = next(i for i in bench.content.invocations if i.source_id == identifier)
    other = next(i for i in bench.content.invocations if i.run_id != own.run_id)
    bench.put("invocations", identifier, "input_invocation_id", bench.spell(other.source_id))


def _truncated(of: str, column: str) -> Callable[[Bench, str], None]:
    def apply(bench: Bench, identifier: str) -> None:
        name = bench.image if column == "image" else column
        query = f"SELECT {name} FROM {bench.tables[of]} WHERE id = ?"
        blob = bench.connection.execute(query, (bench.spell(identifier),)).fetchone()[0]
        bench.put(of, identifier, column, blob[: len(blob) // 2])

    return apply


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, dgms_0=np.array([{"a": 1}], dtype=object), dgms_count=np.array([1]))
    return buffer.getvalue()


ROW, ORPHAN, IMPORTER = "row", "orphan", "importer"
_P, _E = ("python",), ("elixir",)
_NAN = np.array([1, np.nan, 0, 0], np.float32).tobytes()
CORRUPTIONS: dict[str, Corruption] = {
    "vector_of_odd_length": Corruption("embeddings", "bad_vector", ROW, _put("embeddings", "vector", b"\0" * 7)),
    "vector_with_nan": Corruption("embeddings", "bad_vector", ROW, _put("embeddings", "vector", _NAN)),
    "empty_vector": Corruption("embeddings", "bad_vector", ROW, _put("embeddings", "vector", b"")),
    "vector_as_text": Corruption("embeddings", "bad_vector", ROW, _put("embeddings", "vector", "[0.5]")),
    "vector_of_other_dimension": Corruption(
        "embeddings", "", IMPORTER, _put("embeddings", "vector", np.ones(3, np.float32).tobytes())
    ),
    "null_vector": Corruption("embeddings", "", IMPORTER, _put("embeddings", "vector", None), eras=_P),
    "null_output": Corruption("invocations", "no_output", ROW, _put("invocations", "output_text", None), "text"),
    "both_outputs": Corruption("invocations", "both_outputs", ROW, _put("invocations", "image", b"RIFF"), "text"),
    "wrong_output": Corruption(
        "invocations",
        "wrong_output",
        ROW,
        lambda b, i: b.put("invocations", i, "type", _other_case(b, "image")),
        "text",
    ),
    "unknown_type": Corruption("invocations", "bad_type", ROW, _put("invocations", "type", "AUDIO"), "text"),
    "unknown_image_format": Corruption(
        "invocations", "", IMPORTER, _put("invocations", "image", b"no image at all, no"), "image"
    ),
    "truncated_image": Corruption("invocations", "", IMPORTER, _truncated("invocations", "image"), "image"),
    "text_not_utf8": Corruption(
        "invocations", "bad_text", ROW, _put("invocations", "output_text", b"\xff\xfea", "CAST(? AS TEXT)"), "text"
    ),
    "text_as_blob": Corruption("invocations", "bad_text", ROW, _put("invocations", "output_text", b"\xff\x01"), "text"),
    "bad_timestamp": Corruption("invocations", "bad_time", ROW, _put("invocations", "started_at", "yesterday"), "text"),
    "sequence_not_a_number": Corruption(
        "invocations", "bad_number", ROW, _put("invocations", "sequence_number", "three"), "text"
    ),
    "bad_input_id": Corruption(
        "invocations", "bad_id", ROW, _put("invocations", "input_invocation_id", "6.88e+30"), "text"
    ),
    "gap_in_sequence": Corruption("invocations", "", IMPORTER, _gap, "text"),
    "duplicate_sequence": Corruption("invocations", "", IMPORTER, _duplicate, "text"),
    "negative_sequence": Corruption("invocations", "", IMPORTER, _put("invocations", "sequence_number", -1), "text"),
    "dangling_input": Corruption("invocations", "", IMPORTER, _link("invocations", "input_invocation_id"), "text"),
    "input_of_another_run": Corruption("invocations", "", IMPORTER, _foreign_input, "text"),
    "model_out_of_place": Corruption("invocations", "", IMPORTER, _put("invocations", "model", "Gemma3n"), "text"),
    "orphan_invocation": Corruption("invocations", "orphan", ORPHAN, _link("invocations", "run_id"), "text"),
    "orphan_embedding": Corruption("embeddings", "orphan", ORPHAN, _link("embeddings", "invocation_id")),
    "orphan_diagram": Corruption("diagrams", "orphan", ORPHAN, _link("diagrams", "run_id")),
    "orphan_run": Corruption("runs", "orphan", ORPHAN, _link("runs", "experiment_id")),
    "orphan_assignment": Corruption("assignments", "orphan", ORPHAN, _link("assignments", "embedding_id")),
    "embedding_of_wrong_modality": Corruption("embeddings", "", IMPORTER, _wrong_modality, TEXT_EMBEDDING),
    "malformed_network": Corruption("runs", "bad_json", ROW, _put("runs", "network", '["FluxSchnell", ')),
    "network_of_numbers": Corruption("runs", "bad_json", ROW, _put("runs", "network", "[1, 2]")),
    "malformed_prompts": Corruption("experiments", "bad_json", ROW, _put("experiments", "prompts", "a red apple")),
    "malformed_parameters": Corruption("clusterings", "bad_json", ROW, _put("clusterings", "parameters", "[1")),
    "float_medoid": Corruption(
        "assignments", "bad_id", ROW, _put("assignments", "medoid_embedding_id", LARGE_FLOAT), "clustered"
    ),
    "float_id": Corruption("assignments", "bad_id", ROW, _put("assignments", "id", LARGE_FLOAT), "clustered"),
    "medoid_of_nobody": Corruption(
        "assignments", "", IMPORTER, _link("assignments", "medoid_embedding_id"), "clustered"
    ),
    "truncated_diagram": Corruption("diagrams", "bad_diagram", ROW, _truncated("diagrams", "diagram_data")),
    "pickled_diagram": Corruption(
        "diagrams", "bad_diagram", ROW, _put("diagrams", "diagram_data", _pickled()), eras=_P
    ),
    "garbage_diagram": Corruption(
        "diagrams", "bad_diagram", ROW, _put("diagrams", "diagram_data", b"\x83\xff\x00\x01")
    ),
    "term_of_wrong_size": Corruption(
        "diagrams",
        "bad_diagram",
        ROW,
        _put("diagrams", "diagram_data", b"\x83P\0\0\0\x63x\x9c\x4b\x04\0\0b\0b"),
        eras=_E,
    ),
    "garbage_exponent": Corruption(
        "exponents", "bad_exponents", ROW, _put("exponents", "lyapunov_data", b"\x83\x6d\0\0"), eras=_E
    ),
}


def _other_case(bench: Bench, kind: str) -> str:
    return kind.upper() if bench.content.era == "python" else kind


def corrupt(connection: sqlite3.Connection, content: Content, names: Sequence[str]) -> list[Damage]:
    """Break one row for each name; all are distinct rows.

    Raises:
        sqlite3.IntegrityError: this layout's own rules forbid it.
    """
    bench = Bench(connection, content)
    damages = []
    for name in names:
        corruption = CORRUPTIONS[name]
        assert content.era in corruption.eras, f"{name} can't happen in the {content.era} era"
        identifier = bench.take(corruption.of, corruption.which)
        corruption.apply(bench, identifier)
        found = str(LARGE_FLOAT) if name == "float_id" else identifier
        damages.append(Damage(name, bench.tables[corruption.of], found, corruption.kind, corruption.found_by))
    return damages
