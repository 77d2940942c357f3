"""Studies, their trials and curves, and downloads of their tables.

Here belong reading alone: what training tells comes in by ``ml_events``. The stream of the monitor is in
``study_stream``.
"""

from __future__ import annotations

import io
from typing import Annotated, Literal

from fastapi import Path, Query, Response

from panic_assets.web.api.routing import router
from panic_assets.web.api.study_room import Studies
from panic_assets.web.api.study_shapes import ComparedOut, CurvesOut, StudyOut, TrialOut, curves_of
from panic_assets.web.security.callers import Room
from panic_assets.web.security.policy import Rule, add_rules

_read = Rule("operator")
add_rules(
    {
        "GET /api/studies": _read,
        "GET /api/studies/{study}": _read,
        "GET /api/studies/{study}/trials": _read,
        "GET /api/studies/{study}/trials/{trial_id}": _read,
        "GET /api/studies/{study}/trials/{trial_id}/metrics": _read,
        "GET /api/studies/{study}/tables/{table}/{kind}": _read,
    }
)
studies = router("studies")

StudyName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="the name of a study", examples=["demo"])
]
TrialId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$", description="the trial's identity")]
Table = Literal["trials", "metrics", "comparison", "lipschitz", "robustness", "artifacts", "model_runs"]
#: Tables whose short name here is another than in the lake.
_TABLES = {"metrics": "trial_metrics", "comparison": "study_comparison"}
_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
#: Spreadsheets take text that begins so for a formula, and work it out.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_FILE = {"schema": {"type": "string", "format": "binary"}}


@studies.get("/api/studies")
async def list_studies(live: Room, room: Studies) -> list[StudyOut]:
    """Every study, that with the newest trial first."""
    return [StudyOut.of(one) for one in await live.thread(room.listed)]


@studies.get("/api/studies/{study}")
async def show_study(study: StudyName, live: Room, room: Studies) -> ComparedOut:
    """A study and its comparison."""
    return ComparedOut.of(await live.thread(room.study, study))


@studies.get("/api/studies/{study}/trials")
async def list_trials(
    study: StudyName,
    live: Room,
    room: Studies,
    limit: Annotated[int, Query(ge=1, le=1000, description="at most so many")] = 200,
    after: Annotated[str | None, Query(max_length=128, description="the last trial that is known already")] = None,
    state: Annotated[str | None, Query(max_length=20)] = None,
    arm: Annotated[str | None, Query(max_length=200)] = None,
) -> list[TrialOut]:
    """Trials in the order in which they became known."""
    await live.thread(room.mark, study)
    found = await live.thread(room.trials, study)
    start = next((place + 1 for place, row in enumerate(found) if row.trial_id == after), 0) if after else 0
    wanted = (row for row in found[start:] if state in (None, row.state) and arm in (None, row.arm))
    return [TrialOut.of(row) for row, _ in zip(wanted, range(limit), strict=False)]


@studies.get("/api/studies/{study}/trials/{trial_id}")
async def show_trial(study: StudyName, trial_id: TrialId, live: Room, room: Studies) -> TrialOut:
    """One trial."""
    return TrialOut.of(await live.thread(room.trial, study, trial_id))


@studies.get("/api/studies/{study}/trials/{trial_id}/metrics")
async def show_curves(
    study: StudyName,
    trial_id: TrialId,
    live: Room,
    room: Studies,
    points: Annotated[int, Query(ge=2, le=100_000, description="at most so many of a curve")] = 1000,
) -> CurvesOut:
    """The curves of a trial; long ones are thinned, their spikes kept."""
    await live.thread(room.trial, study, trial_id)
    found = curves_of(await live.thread(room.metrics, study, trial_id), points)
    return CurvesOut(study=study, trial_id=trial_id, curves=found.get(trial_id, {}))


@studies.get(
    "/api/studies/{study}/tables/{table}/{kind}",
    response_class=Response,
    responses={200: {"description": "The table", "content": {"text/csv": _FILE, _TYPES["parquet"]: _FILE}}},
)
async def download_table(
    study: StudyName, table: Table, kind: Literal["csv", "parquet"], live: Room, room: Studies
) -> Response:
    """A table of the study as a file. In CSV, text that a spreadsheet would take for a formula begins with ``'``."""
    content = await live.thread(_written, room, study, _TABLES.get(table, table), kind)
    headers = {"Content-Disposition": f'attachment; filename="{study}-{table}.{kind}"'}
    return Response(content, headers=headers, media_type=_TYPES[kind])


def _written(room: Studies, study: str, table: str, kind: str) -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet

    rows, written = room.table(study, table), io.BytesIO()
    if kind == "parquet":
        pyarrow.parquet.write_table(rows, written, compression="zstd")
        return written.getvalue()
    columns = []
    for column in rows.itercolumns():
        if pa.types.is_list(column.type):
            column = pa.chunked_array([pa.array([" | ".join(map(str, value or ())) for value in column.to_pylist()])])
        if pa.types.is_string(column.type):
            is_formula = pc.match_substring_regex(column, f"^[{''.join(_FORMULAS)}]".replace("-", "\\-"))
            column = pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)
        columns.append(column)
    pyarrow.csv.write_csv(pa.table(columns, names=rows.column_names), written)
    return written.getvalue()
