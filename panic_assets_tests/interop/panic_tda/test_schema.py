"""Layouts are recognised by their tables and columns, and named by what the database says of itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pytest

from panic_assets.interop.panic_tda.schema import SourceError, recognise
from panic_assets_tests.interop.panic_tda.layouts import (
    ELIXIR_VARIANTS,
    ELIXIR_VERSIONS,
    PYTHON_VARIANTS,
    REVISIONS,
    elixir_layout,
    python_layout,
)


def made(statements: Sequence[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    return connection


@pytest.mark.parametrize("variant", PYTHON_VARIANTS)
def test_python_layouts(variant: str) -> None:
    layout = recognise(made(python_layout(variant)), "db")
    assert layout.era == "python"
    assert layout.variant == ("created" if variant == "created" else f"migrated {REVISIONS[variant]}")
    assert ("clusters" in layout.tables) == (variant in ("with_cluster_table", "f0ec8e9694a0"))
    assert layout.tables["runs"].name == "run"
    assert "run_id" in layout.tables["invocations"].indexed
    assert layout.tables["embeddings"].default_now == ({"started_at"} if variant == "migrated" else set())


@pytest.mark.parametrize("variant", ELIXIR_VARIANTS)
def test_elixir_layouts(variant: str) -> None:
    layout = recognise(made(elixir_layout(variant)), "db")
    name = "final" if variant == "final" else "migration"
    assert (layout.era, layout.variant) == ("elixir", f"{name} {ELIXIR_VERSIONS[variant]}")
    assert ("run_id" in layout.tables["invocations"].indexed) == (variant != "seeds_2026_02")
    assert ("exponents" in layout.tables) == (ELIXIR_VERSIONS[variant] >= ELIXIR_VERSIONS["lyapunov"])


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("with_experiment_clusterings", "created, clusterings by experiment"),
        ("d5147590cfc2", "created, with clusters as JSON"),
        ("with_cluster_table", "created, with table cluster"),
        ("migrated", "created"),
    ],
)
def test_layouts_without_a_stamp_are_named_by_what_they_have(variant: str, name: str) -> None:
    statements = [s for s in python_layout(variant) if "alembic" not in s]
    assert recognise(made(statements), "db").variant == name


def test_a_stamp_alone_does_not_make_a_layout() -> None:
    with pytest.raises(SourceError, match="found: alembic_version"):
        recognise(made(["CREATE TABLE alembic_version (version_num)"]), "db")
    with pytest.raises(SourceError, match="found: none at all"):
        recognise(made([]), "db")


def test_tables_of_other_systems_with_the_same_names() -> None:
    others = [f"CREATE TABLE {name} (id, name)" for name in ("experiments", "runs", "invocations")]
    with pytest.raises(SourceError, match="table experiments lacks embedding_models, max_length, prompts, networks"):
        recognise(made(others), "db")


def test_optional_tables_may_be_absent() -> None:
    core = ("experimentconfig", "run", "invocation")
    made_of = tuple(f"CREATE TABLE {name} (" for name in core)
    core_alone = [s for s in python_layout("created") if s.startswith(made_of)]
    assert set(recognise(made(core_alone), "db").tables) == {"experiments", "runs", "invocations"}
