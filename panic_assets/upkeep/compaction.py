"""Compaction of the whole lake: partitions of many small parts become few large ones.

Here belongs which partitions are worth it. How one is compacted belongs to the lake; old parts stay for readers that
hold them until `Lake.tidy` collects them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from panic_assets.lake import TABLES, CorruptPart, Lake, PartitionLocked

#: Parts in the order they came; a partition with fewer of them is read as fast as one with none.
MANY = 4


@dataclass(frozen=True)
class Compacted:
    """What was done to a lake: counts of partitions and of parts, and who was left out.

    ``skipped`` were being written, ``damaged`` can't be read; both are named as table or table/experiment.
    """

    partitions: int
    compacted: int
    parts_before: int
    parts_after: int
    skipped: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"skipped": list(self.skipped), "damaged": list(self.damaged)}


def compact_lake(
    lake: Lake, many: int = MANY, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Compacted:
    """Compact every partition that has at least ``many`` parts in the order they came.

    A partition that is being written is left for the next time, a damaged one as it is. Rows stay the same.
    ``on_progress`` gets (partitions looked at, partitions in all).

    Raises:
        LakeWriteError: the disk is full or refuses; what was done is done, and the partition at hand as it was.
    """
    partitions = _partitions(lake)
    before = after = compacted = 0
    skipped, damaged = list[str](), list[str]()
    for number, (table, experiment) in enumerate(partitions, 1):
        name = table if experiment is None else f"{table}/{experiment}"
        try:
            loose, held = _parts(lake, table, experiment)
            left = held
            if loose >= max(many, 1):
                with lake.writer(table, experiment) as writer:
                    writer.compact()
                left = _parts(lake, table, experiment)[1]
                compacted += 1
            before, after = before + held, after + left
        except PartitionLocked:
            skipped.append(name)
        except CorruptPart:
            damaged.append(name)
        on_progress(number, len(partitions))
    return Compacted(len(partitions), compacted, before, after, tuple(skipped), tuple(damaged))


def _partitions(lake: Lake) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for table, spec in TABLES.items():
        keys: Sequence[str | None] = lake.keys(table) if spec.partitioned else [None]
        found += [(table, key) for key in keys if (lake.folder(table, key)).is_dir()]
    return found


def _parts(lake: Lake, table: str, experiment: str | None) -> tuple[int, int]:
    """(parts in the order they came, all parts)."""
    manifest = lake.manifest(table, experiment)
    parts = manifest.parts if manifest else ()
    return sum(not part.compacted for part in parts), len(parts)
