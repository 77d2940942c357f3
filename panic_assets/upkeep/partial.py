"""A lake of which only some parts are looked at: those that can be read.

Here belongs that alone; which parts these are is told by the survey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from panic_assets.lake import Lake
from panic_assets.lake.manifest import Manifest
from panic_assets.upkeep.findings import Place


class PartialLake(Lake):
    """A lake that tells of some parts alone: those of the manifests that it is given."""

    def __init__(self, root: Path, manifests: Mapping[Place, Manifest]) -> None:
        super().__init__(root)
        self._manifests = manifests

    def keys(self, table: str) -> list[str]:
        """Partitions of the table that it was given, sorted."""
        return sorted(key for name, key in self._manifests if name == table and key is not None)

    def manifest(self, table: str, experiment: str | None = None) -> Manifest | None:
        """The manifest that it was given."""
        return self._manifests.get((table, experiment))


def without(manifest: Manifest, lost: Mapping[str, str]) -> Manifest:
    """The manifest of the other parts."""
    return replace(manifest, parts=tuple(part for part in manifest.parts if part.file not in lost))
