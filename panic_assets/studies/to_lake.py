"""What came of a study, written into the lake: the platform's rows, and what was measured of the trained models.

Here belongs bringing rows to the tables of ``lake.study_tables``. A table of a study is written whole, in one commit;
where it holds the same already, nothing is written. Where the rows come from belongs to ``events`` and ``measures``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from math import isfinite
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from panic_assets.lake import Lake, table_spec
from panic_assets.lake.rows import conform, sorted_rows, stack
from panic_assets.studies.events.rows import ArtifactRow, MetricRow, ModelRunRow, TrialRow
from panic_assets.studies.from_lake import JSON_COLUMNS

Row: TypeAlias = dict[str, Any]


class Store(Protocol):
    """What is read of the event store."""

    def model_runs(self, study: str | None = None) -> list[ModelRunRow]:
        """Model runs of a study."""

    def trials(self, study: str | None = None) -> list[TrialRow]:
        """Trials of a study."""

    def metrics(self, trial_id: str | None = None, study: str | None = None) -> list[MetricRow]:
        """Metrics of a study's trials."""

    def artifacts(self, study: str | None = None) -> list[ArtifactRow]:
        """Artifacts of a study."""


def write_trials(store: Store, lake: Lake, study: str) -> dict[str, int]:
    """Write the model runs, trials and artifacts that the event store has of a study; give rows by table.

    Raises:
        SchemaViolation: a row of the store does not fit its table.
        PartitionLocked: another writer is at work on the study.
        LakeWriteError: the disk is full or refuses; earlier commits stand.
    """
    # The store may grow meanwhile: what is referred to is read last, and written first.
    artifacts = store.artifacts(study)
    trials = store.trials(study)
    rows: dict[str, Sequence[Any]] = {"model_runs": store.model_runs(study), "trials": trials, "artifacts": artifacts}
    return {table: _write(lake, table, study, of_table) for table, of_table in rows.items()}


def write_metrics(store: Store, lake: Lake, study: str) -> dict[str, int]:
    """Write what was measured of the study's trials while they trained; raises as `write_trials`.

    Only what the lake has a trial of: what began meanwhile comes with the next call of both.
    """
    known = set(lake.read("trials", study, ["trial_id"]).column(0).to_pylist())
    rows = [row for row in store.metrics(study=study) if row.trial_id in known]
    return {"trial_metrics": _write(lake, "trial_metrics", study, rows)}


def write_lipschitz(lake: Lake, study: str, rows: Iterable[Any]) -> int:
    """Write norms and bounds of trained models (`from_lake.LipschitzRow`, or mappings); give how many.

    Raises as `write_trials`. Numbers that are not finite are left out: they bound nothing.
    """
    kept = [row for row in map(_plain, rows) if row["value"] is not None and isfinite(row["value"])]
    return _write(lake, "lipschitz", study, kept)


def write_robustness(lake: Lake, study: str, rows: Iterable[Any]) -> int:
    """Write what models know under disturbance (`from_lake.RobustnessRow`, or mappings); raises as `write_trials`."""
    return _write(lake, "robustness", study, rows)


def write_comparison(
    lake: Lake,
    study: str,
    rows: Iterable[Any],
    claim: tuple[str, str] | None = None,
    sentence: str | None = None,
) -> int:
    """Write how the arms compare (`comparison.Comparison`, `from_lake.ComparisonRow`, or mappings); give how many.

    ``claim`` is (arm, metric) that the study was made to tell of, and ``sentence`` what it came to; rows that tell
    themselves whether they are the claim are taken at their word. Raises as `write_trials`.
    """
    made = []
    for row in map(_plain, rows):
        is_claim = (row["arm"], row["metric"]) == claim and row["mode"] == "comparison"
        made.append({"is_claim": is_claim, "sentence": sentence if is_claim else None} | row)
    return _write(lake, "study_comparison", study, made)


def as_table(table: str, study: str, rows: Iterable[Any]) -> pa.Table:
    """Records of a study, or mappings, as the lake has them: its columns, their order, and JSON as text.

    Raises:
        SchemaViolation: one of them does not fit the table.
    """
    spec = table_spec(table)
    pieces = [piece for _, piece in conform(spec, [_row(table, study, row) for row in rows])]
    return sorted_rows(spec, stack(spec, pieces)) if pieces else spec.arrow_schema().empty_table()


def _write(lake: Lake, table: str, study: str, rows: Iterable[Any]) -> int:
    """Make these the rows of a study's table; those that it has already are not written again."""
    made = as_table(table, study, rows)
    with lake.writer(table, study) as writer:
        held = lake.read(table, study)
        if not writer.generation or not _are_same(held, made):
            writer.replace(made, {})
            writer.commit()
    return made.num_rows


def _are_same(one: pa.Table, other: pa.Table) -> bool:
    return bool(one.num_rows == other.num_rows and _bits(one).equals(_bits(other)))


def _bits(table: pa.Table) -> pa.Table:
    """The table with floats as their bits: a NaN is then the same as another."""
    columns = [column.combine_chunks() for column in table.columns]
    plain = [column.view(pa.int64()) if column.type == pa.float64() else column for column in columns]
    return pa.table(plain, table.column_names)


def _row(table: str, study: str, row: Any) -> dict[str, Any]:
    spec, values = table_spec(table), _plain(row)
    made: dict[str, Any] = {"study": study}
    for column in spec.columns[1:]:
        value = values.get(column.name)
        if column.name in JSON_COLUMNS.get(table, ()) and value is not None and not isinstance(value, str):
            value = json.dumps(_finite(value), sort_keys=True, ensure_ascii=False, allow_nan=False)
        elif isinstance(value, float) and not isfinite(value) and column.nullable:
            value = None
        elif isinstance(value, tuple):
            value = list(value)
        made[column.name] = value
    return made


def _plain(row: Any) -> Row:
    if is_dataclass(row) and not isinstance(row, type):
        return {name: getattr(row, name) for name in row.__dataclass_fields__}
    return dict(row)


def _finite(value: Any) -> Any:
    """The value as JSON has it: null for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
