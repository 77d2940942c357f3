"""The data lake: tables of immutable Parquet parts, committed by manifests, read by Arrow and DuckDB.

Here are the names that other rooms use. Nothing in this package knows what the rows mean.
"""

from __future__ import annotations

from panic_assets.lake.catalog import build_catalog, connect, refresh
from panic_assets.lake.errors import (
    CorruptImage,
    CorruptPart,
    LakeError,
    LakeWriteError,
    PartitionLocked,
    SchemaViolation,
    UnreadableImage,
)
from panic_assets.lake.schemas import SCHEMA_VERSION, TABLES, Column, TableSpec, table_spec
from panic_assets.lake.store import GRACE_SECONDS, Lake, Problem
from panic_assets.lake.writer import Writer

__all__ = [
    "GRACE_SECONDS",
    "SCHEMA_VERSION",
    "TABLES",
    "Column",
    "CorruptImage",
    "CorruptPart",
    "Lake",
    "LakeError",
    "LakeWriteError",
    "PartitionLocked",
    "Problem",
    "SchemaViolation",
    "TableSpec",
    "UnreadableImage",
    "Writer",
    "build_catalog",
    "connect",
    "refresh",
    "table_spec",
]
