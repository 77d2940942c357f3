"""Where each picture appears first: a fact of the data, whatever the order in which it was computed.

Here belongs putting that right at the end of an engine's work. A picture is recorded with the run that gave it first;
when work is shared, a run of a lower number may come to the same picture later.
"""

from __future__ import annotations

import pyarrow.compute as pc

from panic_assets.lake import Lake
from panic_assets.lake.writer import Writer

_NAMES = ["run_number", "sequence_number", "image_hash"]


def settle_places(lake: Lake, experiment: str, images: Writer) -> int:
    """Give every picture of ``images`` the first place at which ``invocations`` has it; how many were moved.

    The writer is not committed. Nothing is read but keys where no picture has to move.

    Raises:
        LakeError: a table can't be read or written.
    """
    first: dict[bytes, tuple[int, int]] = {}
    for run, number, image_hash in _rows(lake, "invocations", experiment):
        first[image_hash] = min(first.get(image_hash, (run, number)), (run, number))
    moved = {
        image_hash: first[image_hash]
        for run, number, image_hash in _rows(lake, "images", experiment)
        if first.get(image_hash, (run, number)) != (run, number)
    }
    if moved:
        where = {"image_hash": set(moved)}
        rows = lake.read("images", experiment, where=where).to_pylist()
        for row in rows:
            row["run_number"], row["sequence_number"] = moved[row["image_hash"]]
        images.replace(rows, where)
    return len(moved)


def _rows(lake: Lake, table: str, experiment: str) -> list[tuple[int, int, bytes]]:
    read = lake.read(table, experiment, columns=_NAMES)
    read = read.filter(pc.is_valid(read.column("image_hash")))
    return list(zip(*(read.column(name).to_pylist() for name in _NAMES), strict=True))
