"""Builders of PANIC-TDA databases of every documented layout, sound or with named corruptions. No tests here.

Both builders give back what they put in, as the records that a reader must give for that layout.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from panic_assets.interop.panic_tda.records import SourceDiagram, Times
from panic_assets_tests.interop.panic_tda.content import Content, Plan, make
from panic_assets_tests.interop.panic_tda.corruptions import CORRUPTIONS, Damage, corrupt
from panic_assets_tests.interop.panic_tda.layouts import (
    ELIXIR_VARIANTS,
    PYTHON_VARIANTS,
    elixir_layout,
    python_layout,
)
from panic_assets_tests.interop.panic_tda.terms import Atom, stored

__all__ = ["CORRUPTIONS", "ELIXIR_VARIANTS", "PYTHON_VARIANTS", "Built", "elixir_database", "python_database"]


@dataclass
class Built:
    """A database on disk: what was put in, and what was broken afterwards."""

    path: Path
    variant: str
    content: Content
    damages: list[Damage] = field(default_factory=list)


def python_database(
    path: Path,
    variant: str = "created",
    corruptions: Sequence[str] = (),
    experiments: int = 2,
    runs: int = 2,
    length: int = 8,
    dimension: int = 16,
    rings: int = 2,
    timezone: str = "UTC",
    generators: bool = False,
) -> Built:
    """A database of the Python era. ``timezone``: that of the machine that wrote it; ``generators``: old diagrams."""
    content = make("python", Plan(experiments, runs, length, dimension, rings))
    connection = _fresh(path, python_layout(variant))
    zone = ZoneInfo(timezone)
    step = PYTHON_VARIANTS.index(variant)

    def local(moment: datetime | None) -> str | None:
        return moment and moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")

    def utc(moment: datetime | None) -> str | None:
        return moment and moment.strftime("%Y-%m-%d %H:%M:%S.%f")

    for e in content.experiments:
        lists = [json.dumps(v) for v in (e.networks, e.seeds, e.prompts, e.embedding_models)]
        row = (e.source_id, *lists, e.max_length, local(e.times.started_at), local(e.times.completed_at))
        _insert(connection, "experimentconfig", row)
    for r in content.runs:
        row = (r.source_id, json.dumps(r.network), r.seed, r.max_length, r.initial_prompt, r.experiment_id)
        _insert(connection, "run", row)
    for i in content.invocations:
        worked = (local(i.times.started_at), local(i.times.completed_at))
        row = (i.source_id, *worked, i.model, i.type.upper(), i.seed, i.run_id, i.sequence_number)
        _insert(connection, "invocation", (*row, i.input_id, i.text, i.image))
    for m in content.embeddings:
        worked = (local(m.times.started_at), local(m.times.completed_at))
        vector = m.vector.tobytes() if m.vector is not None else None
        _insert(connection, "embedding", (m.source_id, *worked, m.invocation_id, m.embedding_model, vector))
    for n, d in enumerate(content.diagrams):
        data = npz(d, generators)
        worked = (local(d.times.started_at), local(d.times.completed_at))
        _insert(connection, "persistencediagram", (d.source_id, *worked, data, d.run_id, d.embedding_model))
        content.diagrams[n] = replace(d, more=data if generators else None)
    _python_clusters(connection, content, step, utc)
    return _finish(path, connection, variant, content, corruptions)


def _python_clusters(connection: sqlite3.Connection, content: Content, step: int, utc: Any) -> None:
    labels: dict[tuple[str, str | None], int] = {}
    clusters: dict[tuple[str, str | None], str] = {}
    for a in content.assignments:
        key = (a.clustering_id, a.medoid_embedding_id)
        if key not in labels:
            own = [k for k in labels if k[0] == a.clustering_id and k[1] is not None]
            labels[key] = -1 if a.medoid_embedding_id is None else len(own)
            clusters[key] = f"0c{len(labels):030x}"
    for n, c in enumerate(content.clusterings):
        named = [
            {"id": label, "medoid_text": "…", "medoid_embedding_id": str(UUID(medoid))}
            for (clustering, medoid), label in labels.items()
            if clustering == c.source_id and medoid is not None
        ]
        columns = {
            "id": c.source_id,
            "created_at": utc(c.times.inserted_at),
            "embedding_model": c.embedding_model,
            "algorithm": c.algorithm,
            "parameters": json.dumps(c.parameters),
        }
        if step == 0:
            columns["experiment_id"] = content.experiments[0].source_id
        if step <= 3:
            columns["clusters"] = json.dumps(named if step < 3 else [])
        if step >= 2:
            columns |= {"started_at": utc(c.times.started_at), "completed_at": utc(c.times.completed_at)}
        else:
            content.clusterings[n] = replace(c, times=Times(inserted_at=c.times.inserted_at))
        _insert_named(connection, "clusteringresult", columns)
    if step in (3, 4):
        for key, identifier in clusters.items():
            _insert(connection, "cluster", (identifier, key[0], labels[key], key[1], 1, "{}"))
    for a in content.assignments:
        key = (a.clustering_id, a.medoid_embedding_id)
        cluster = labels[key] if step < 3 else clusters[key] if step < 5 else a.medoid_embedding_id
        _insert(connection, "embeddingcluster", (a.source_id, a.embedding_id, a.clustering_id, cluster))


def elixir_database(  # noqa: C901 - one paragraph for each table
    path: Path,
    variant: str = "final",
    corruptions: Sequence[str] = (),
    experiments: int = 2,
    runs: int = 2,
    length: int = 8,
    dimension: int = 16,
    rings: int = 2,
    zulu: bool = True,
) -> Built:
    """A database of the Elixir era. ``zulu``: whether its times end in Z."""
    step = ELIXIR_VARIANTS.index(variant)
    single = variant == "single_network"
    # These two allow one network alone for each experiment.
    plan = Plan(experiments, runs, length, dimension, 1 if step in (1, 2) else rings, "webp" if step < 2 else "avif")
    content = make("elixir", plan)
    connection = _fresh(path, elixir_layout(variant))

    def stamp(moment: datetime | None) -> str | None:
        return moment and moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + ("Z" if zulu else "")

    def times(t: Times) -> dict[str, Any]:
        found = {name: stamp(getattr(t, name)) for name in ("started_at", "completed_at", "inserted_at", "updated_at")}
        return found if t.started_at else {k: v for k, v in found.items() if k in ("inserted_at", "updated_at")}

    if step < 2:
        content.experiments = [replace(e, seeds=list(range(7, 7 + runs)), num_runs=None) for e in content.experiments]
        content.runs = [replace(r, seed=7 + (r.run_number or 0), run_number=None) for r in content.runs]
        seeds = {r.source_id: r.seed for r in content.runs}
        content.invocations = [replace(i, seed=seeds[i.run_id]) for i in content.invocations]
    if step < 5:
        content.clusterings = [replace(c, layer=None) for c in content.clusterings]
    if step < 4:
        content.exponents = []
    for e in content.experiments:
        several = {"num_runs": e.num_runs} if e.seeds is None else {"seeds": lean(e.seeds)}
        ring = {"network": lean(e.networks[0])} if single else {"networks": lean(e.networks)}
        lists = {"prompts": lean(e.prompts), "embedding_models": lean(e.embedding_models), "max_length": e.max_length}
        _insert_named(connection, "experiments", {"id": _h(e.source_id)} | lists | several | ring | times(e.times))
    for r in content.runs:
        own = {"run_number": r.run_number} if r.seed is None else {"seed": r.seed}
        row = {"id": _h(r.source_id), "experiment_id": _h(r.experiment_id), "network": lean(r.network)}
        row |= {"initial_prompt": r.initial_prompt, "max_length": r.max_length}
        _insert_named(connection, "runs", row | own | times(r.times))
    for i in content.invocations:
        row = {"id": _h(i.source_id), "run_id": _h(i.run_id), "input_invocation_id": i.input_id and _h(i.input_id)}
        row |= {"sequence_number": i.sequence_number, "type": i.type, "model": i.model}
        row |= {"output_text": i.text, "output_image": i.image} | ({} if i.seed is None else {"seed": i.seed})
        _insert_named(connection, "invocations", row | times(i.times))
    for m in content.embeddings:
        vector = m.vector.tobytes() if m.vector is not None else None
        row = {"id": _h(m.source_id), "invocation_id": _h(m.invocation_id), "embedding_model": m.embedding_model}
        _insert_named(connection, "embeddings", row | {"vector": vector} | times(m.times))
    for d in content.diagrams:
        row = {"id": _h(d.source_id), "run_id": _h(d.run_id), "embedding_model": d.embedding_model}
        _insert_named(connection, "persistence_diagrams", row | {"diagram_data": term(d)} | times(d.times))
    for c in content.clusterings:
        row = {"id": _h(c.source_id), "embedding_model": c.embedding_model, "algorithm": c.algorithm}
        row |= {"parameters": lean(c.parameters)} | ({} if c.layer is None else {"layer": c.layer})
        row |= {"experiment_id": _h(content.experiments[0].source_id)} if 1 <= step <= 5 else {}
        _insert_named(connection, "clustering_results", row | times(c.times))
    for a in content.assignments:
        row = {"id": _h(a.source_id), "embedding_id": _h(a.embedding_id), "clustering_result_id": _h(a.clustering_id)}
        row |= {"medoid_embedding_id": a.medoid_embedding_id and _h(a.medoid_embedding_id)}
        _insert_named(connection, "embedding_clusters", row | times(a.times))
    for x in content.exponents:
        data = {Atom("exponent"): x.exponent, Atom("r_squared"): x.r_squared, Atom("num_pairs"): x.num_pairs}
        data |= {Atom("divergence_curve"): x.divergence_curve, Atom("num_timesteps"): x.num_timesteps}
        row = {"id": _h(x.source_id), "experiment_id": _h(x.experiment_id), "prompt": x.prompt}
        row |= {"network": lean(x.network.split(" -> ")), "embedding_model": x.embedding_model}
        _insert_named(connection, "lyapunov_results", row | {"lyapunov_data": stored(data)} | times(x.times))
    return _finish(path, connection, variant, content, corruptions)


def npz(diagram: SourceDiagram, generators: bool = False) -> bytes:
    """A diagram as the Python era stored it, with the generators of its older rows if asked for."""
    assert diagram.diagrams is not None
    arrays: dict[str, Any] = {f"dgms_{k}": d.astype(np.float32) for k, d in enumerate(diagram.diagrams)}
    arrays |= {"dgms_count": np.array([3]), "entropy": np.asarray(diagram.entropy, np.float32)}
    if generators:
        arrays |= {"gens_0": np.zeros((2, 3), np.int64), "gens_1_0": np.ones((1, 4), np.int64)}
        arrays |= {"gens_1_count": np.array([1]), "gens_2": np.zeros(1, np.int64), "gens_3_count": np.array([0])}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def term(diagram: SourceDiagram) -> bytes:
    """A diagram as the Elixir era stored it."""
    assert diagram.diagrams is not None
    data = {Atom("dgms"): [d.tolist() for d in diagram.diagrams], Atom("entropy"): diagram.entropy}
    return stored(data | {Atom("num_edges"): 0})


def lean(value: Any) -> str:
    """JSON as Elixir writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _h(identifier: str) -> str:
    return str(UUID(identifier))


def _fresh(path: Path, statements: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    for statement in statements:
        connection.execute(statement)
    return connection


def _insert(connection: sqlite3.Connection, table: str, row: Sequence[Any]) -> None:
    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _insert_named(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names, places = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", list(row.values()))


def _finish(
    path: Path, connection: sqlite3.Connection, variant: str, content: Content, corruptions: Sequence[str]
) -> Built:
    connection.commit()
    damages = corrupt(connection, content, corruptions)
    connection.commit()
    connection.close()
    return Built(path, variant, content, damages)
