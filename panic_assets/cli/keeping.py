"""Keeping the lake: delete.

Here belong arguments, questions and printing; work is done by ``upkeep``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from panic_assets.lake import Lake

from panic_assets.errors import PanicError


def delete(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Delete everything that the lake holds of an experiment; its file stays."""
    from panic_assets.lake import TABLES, Lake

    lake = Lake.open()
    held = [t for t, spec in TABLES.items() if spec.partitioned and experiment in lake.experiments(t)]
    if not held:
        raise PanicError(f"the lake at {lake.root} holds nothing of an experiment {experiment!r}")
    for table in held:
        print(f"{table}: {_size(lake, table, experiment)}")
    if yes or typer.confirm(f"Delete them from {lake.root}?"):
        # What was made of other tables first: if it ends half-way, what is left can be run on or deleted again.
        for table in reversed(held):
            lake.delete(table, experiment)
        print("deleted; clusters and catalog follow at their next materialisation")


def _size(lake: Lake, table: str, experiment: str) -> str:
    """How much a partition holds. A damaged manifest can't tell, and must not keep anyone from deleting it."""
    from panic_assets.lake import CorruptPart

    try:
        manifest = lake.manifest(table, experiment)
    except CorruptPart:
        return "damaged"
    return f"{manifest.rows if manifest else 0} rows"
