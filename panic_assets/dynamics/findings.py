"""What an analysis gives: rows for the tables of the lake, as plain objects that can't be half filled.

Here belong the shapes and their way into tables; no statistics. The tables are those of
`panic_assets.lake.analysis_tables`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

ALL_PROMPTS, GROUP = -1, -1


@dataclass(frozen=True)
class Group:
    """What a number is about: one space, network, prompt, contrast; the defaults stand for all of them together."""

    embedding_model: str = ""
    modality: str = ""
    network: str = ""
    prompt_number: int = ALL_PROMPTS
    contrast: str = ""


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; ``confidence`` is nominal. NaN stands for what can't be told."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    confidence: float | None = 0.95


@dataclass(frozen=True)
class RunStatistic:
    """A number or a label of one run."""

    run_number: int
    statistic: str
    value: float | None = None
    label: str | None = None
    unit: str = ""
    embedding_model: str = ""
    modality: str = ""
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class GroupStatistic:
    """A statistic of a group of ``runs`` runs. ``method`` says in a few words how it and its interval were found."""

    group: Group
    statistic: str
    estimate: Interval
    runs: int
    method: str
    unit: str = ""
    p_value: float | None = None
    p_adjusted: float | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Curve:
    """Values along an axis: ``x``, ``values``, ``low`` and ``high`` are float arrays of one length."""

    group: Group
    curve: str
    x: np.ndarray
    values: np.ndarray
    x_unit: str
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    run_number: int = GROUP


@dataclass
class Findings:
    """All that one analysis gives for one experiment; ``transitions`` are rows without ``experiment``."""

    runs: list[RunStatistic] = field(default_factory=list)
    groups: list[GroupStatistic] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    transitions: list[dict[str, Any]] = field(default_factory=list)

    def tables(self, experiment: str, analysis: str) -> dict[str, Any]:
        """Rows by table name, ready for a writer."""
        own = {"experiment": experiment, "analysis": analysis}
        return {
            "run_statistics": [own | _plain(asdict(row)) for row in self.runs],
            "dynamics": [own | _group_row(row) for row in self.groups],
            "curves": _curves_table(self.curves, own),
        }


def _group_row(row: GroupStatistic) -> dict[str, Any]:
    values = asdict(row)
    estimate = values.pop("estimate")
    return _plain(values.pop("group") | values | estimate)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """NaN and infinity become null: SQL sorts and sums them in surprising ways."""
    if values["details"] is not None:
        values["details"] = json.dumps(values["details"], sort_keys=True, ensure_ascii=False, allow_nan=False)
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in values.items()}


def _curves_table(curves: Sequence[Curve], own: Mapping[str, str]) -> list[dict[str, Any]] | pa.Table:
    """A table of columns, because there are many points."""
    if not curves:
        return []
    lengths = [len(curve.x) for curve in curves]

    def repeated(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(np.repeat(np.array(values, dtype=object), lengths), kind)

    def joined(name: str) -> pa.Array:
        parts = [
            np.full(len(curve.x), np.nan) if getattr(curve, name) is None else np.asarray(getattr(curve, name), float)
            for curve in curves
        ]
        flat = np.concatenate(parts)
        return pa.array(flat, pa.float64(), mask=~np.isfinite(flat))

    groups = {name: [getattr(curve.group, name) for curve in curves] for name in Group.__dataclass_fields__}
    columns = {name: repeated([value] * len(curves), pa.string()) for name, value in own.items()}
    for name, values in groups.items():
        columns[name] = repeated(values, pa.int32() if name == "prompt_number" else pa.string())
    columns["run_number"] = repeated([curve.run_number for curve in curves], pa.int32())
    columns["curve"] = repeated([curve.curve for curve in curves], pa.string())
    columns["x"] = pa.array(np.concatenate([np.asarray(curve.x, float) for curve in curves]), pa.float64())
    columns["x_unit"] = repeated([curve.x_unit for curve in curves], pa.string())
    return pa.table(columns | {name: joined(source) for name, source in _VALUES.items()})


_VALUES = {"value": "values", "low": "low", "high": "high"}
