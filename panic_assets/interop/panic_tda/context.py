"""What the runs of one experiment share while they are imported, and what becomes of a run that can't be.

Here belongs neither the way of a row nor its shape: see ``runs``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from panic_assets.interop.panic_tda.records import Rejected, SourceClustering
from panic_assets.interop.panic_tda.report import Quarantine, rejected
from panic_assets.interop.panic_tda.source import Source
from panic_assets.interop.panic_tda.vectors import Spaces


@dataclass
class Context:
    """What the runs of one experiment share."""

    source: Source
    experiment: str
    quarantine: Quarantine
    threads: ThreadPoolExecutor
    clusterings: Mapping[str, SourceClustering]
    skip_diagrams: bool
    on_rows: Callable[[int], None]
    media: dict[str, str] = field(default_factory=dict)
    spaces: Spaces = field(default_factory=Spaces)
    assigned: set[str] = field(default_factory=set)


def refuse_children(source: Source, run_id: str, refuse: Callable[[Rejected], None]) -> None:
    """Reject all that hangs on a run that is rejected."""
    reason = f"its run {run_id} was not imported"
    readers: Iterable[Callable[[str], Iterator[Any]]] = (
        source.invocations,
        source.embeddings,
        source.diagrams,
        source.assignments,
    )
    for read in readers:
        for record in read(run_id):
            refuse(record if isinstance(record, Rejected) else rejected(record, "parent_rejected", reason))
