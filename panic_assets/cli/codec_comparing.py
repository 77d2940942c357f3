"""What ``panic codec compare`` looks at and shows, and ``report`` prints.

Here belong the choice of pictures, the table and the sentences; what is measured comes
from ``codec.comparing``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panic_assets.cli.names import experiment_named
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    import numpy as np

    from panic_assets.codec.comparing import Row
    from panic_assets.codec.verdicts import Verdict

_COLUMNS = 80


def of_folder(folder: Path, limit: int) -> tuple[list[np.ndarray], str]:
    """At most so many pictures of a folder, uint8 (h, w, 3), and what they are in words. Raises: ``NoPicture``."""
    from panic_assets.codec.bitstream.layered import colours_of
    from panic_assets.codec.pictures import pictures_in, read_picture

    paths = pictures_in(folder)
    chosen = list(_spread(paths, limit))
    return [colours_of(read_picture(path)) for path in chosen], f"{len(chosen)} of {len(paths)} pictures of {folder}"


def of_experiment(text: str, limit: int) -> tuple[list[np.ndarray], str]:
    """The same of an experiment, as the lake has them. Raises: ``UnknownName``, ``PanicError`` for one without."""
    from panic_assets.lake import Lake, images
    from panic_assets.loop.pictures import PictureShelf

    name = experiment_named(text)
    shelf = PictureShelf(Lake.open(), name)
    hashes = shelf.in_order(shelf)
    if not hashes:
        raise PanicError(f"experiment {name} has no pictures; give another one, or a folder")
    stored = shelf.encoded(_spread(hashes, limit))
    words = f"{len(stored)} of {len(hashes)} pictures of experiment {name}"
    lossy = sorted({form for form, _ in stored.values() if not images.kept_all(form)})
    if lossy:
        words += f"; they were stored as {', '.join(lossy)}, so what was lost then counts for nobody"
    return [images.decode(data) for _, data in stored.values()], words


def print_rows(rows: Sequence[Row]) -> None:
    """The table, in 80 columns; with drifts where they were measured."""
    from rich.table import Table

    from panic_assets.reports.console import console

    has_drift = any(row.drift is not None for row in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("codec", no_wrap=True)
    likenesses = ("PSNR", "SSIM", "MS-SSIM", *(("drift",) if has_drift else ()))
    for head in ("quality", "bytes", "bpp", *likenesses, "encode", "decode"):
        table.add_column(head, justify="right", no_wrap=True)
    last = None
    for row in rows:
        quality = "lossless" if row.quality is None else str(row.quality)
        name = row.codec if row.codec != last or row.quality is None else ""
        exact = ("exact", *("" for _ in likenesses[1:]))
        table.add_row(
            name,
            quality,
            f"{row.byte_size:,.0f}",
            f"{row.bits_per_pixel:.3f}",
            *(exact if row.psnr == float("inf") else _likeness(row)),
            f"{row.encode_ms:.1f} ms",
            f"{row.decode_ms:.1f} ms",
        )
        last = row.codec
    console(_COLUMNS).print(table)


def print_findings(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> None:
    """A sentence for each rival and measure, and one on what loses nothing, on lines of 80 columns."""
    from panic_assets.codec.verdicts import without_loss

    for sentence in (*(one.sentence for one in verdicts if one.counted == "files"), without_loss(rows)):
        print()
        print(textwrap.fill(sentence, _COLUMNS))


def _likeness(row: Row) -> tuple[str, ...]:
    told = (f"{row.psnr:.2f}", f"{row.ssim:.4f}", f"{row.ms_ssim:.4f}")
    return told if row.drift is None else (*told, f"{row.drift:.1e}")


def _spread(items: list[Any], limit: int) -> Iterator[Any]:
    count = min(limit, len(items))
    return (items[place * len(items) // count] for place in range(count))
