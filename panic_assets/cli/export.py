"""``panic export``: arguments and progress bars of what writes files for other programs.

Here belongs the command line; the files are made by ``reports.export``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths

if TYPE_CHECKING:
    from panic_assets.reports.export.common import Progress

export_app = typer.Typer(no_args_is_help=True, help="Videos, film strips, pictures and tables, for other programs.")

Name = Annotated[str, typer.Argument(help="Name of an experiment.")]


@export_app.command()
def video(
    experiment: Name,
    size: Annotated[str, typer.Option(help="hd (1920 x 1080), 4k or 8k.")] = "hd",
    fps: Annotated[float, typer.Option(help="Steps shown in a second.")] = 2.0,
    codec: Annotated[str | None, typer.Option(help="h264 or av1; by default the first that ffmpeg has.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Show so many runs of each prompt and network.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .mp4 to write.")] = None,
) -> None:
    """All runs side by side as a film, a frame for each step."""
    from panic_assets.lake import Lake
    from panic_assets.reports.export.video import export_video

    path = output or _place(experiment, f"mosaic-{size}.mp4")
    with _bar("frames") as progress:
        written = export_video(Lake.open(), experiment, path, size, fps, codec, runs, progress)
    print(f"{written} ({_size(written)})")


@export_app.command()
def strip(
    experiment: Name,
    run: Annotated[
        list[int] | None, typer.Option(help="A run, more by repeating it; by default one of each prompt and network.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of a run.")] = 8,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .png (one sheet), a .pdf (a page each) or a folder.")
    ] = None,
) -> None:
    """Film strips: evenly spaced pictures of runs, with what was said of each."""
    from panic_assets.lake import Lake
    from panic_assets.reports.export.strip import export_strips

    with _bar("strips") as progress:
        target = output or _place(experiment, "strips")
        written = export_strips(Lake.open(), experiment, target, run or (), count, progress)
    for path in written:
        print(path)


@export_app.command()
def images(
    experiment: Name,
    folder: Annotated[Path | None, typer.Option(help="Where the pictures go.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Files that are written at once.")] = 4,
) -> None:
    """All pictures as files that say where they come from (EXIF, XMP); goes on where it was interrupted."""
    from panic_assets.lake import Lake
    from panic_assets.reports.export.images import export_images

    with _bar("pictures") as progress:
        done = export_images(Lake.open(), experiment, folder or _place(experiment, "images"), threads, progress)
    print(f"{done.folder}: {done.written} pictures written, {done.there} were there")


@export_app.command()
def image(
    experiment: Name,
    run: Annotated[int, typer.Argument(help="Number of the run.")],
    sequence: Annotated[int, typer.Argument(help="Sequence number of the picture, from 0.")],
    file: Annotated[Path, typer.Argument(help="A .webp, .png, .jpg or .avif to write.")],
) -> None:
    """One picture, with its provenance."""
    from panic_assets.lake import Lake
    from panic_assets.reports.export.images import export_image

    written = export_image(Lake.open(), experiment, run, sequence, file)
    print(f"{written} ({_size(written)})")


@export_app.command()
def bundle(
    experiment: Name,
    target: Annotated[Path, typer.Argument(help="A folder, or a .tar, to write.")],
    images: Annotated[bool, typer.Option("--images/--no-images", help="With the pictures.")] = True,
) -> None:
    """All tables of an experiment as Parquet, with checksums and the meaning of each column."""
    from panic_assets.lake import Lake
    from panic_assets.reports.export.bundle import export_bundle

    with _bar("tables") as progress:
        done = export_bundle(Lake.open(), experiment, target, images, progress)
    held = sum(1 for rows in done.rows.values() if rows)
    print(f"{done.path}: {sum(done.rows.values())} rows in {held} tables ({done.bytes / 2**20:.1f} MiB)")


def _place(experiment: str, name: str) -> Path:
    """Where an export goes if nobody says."""
    return paths.data_dir() / "exports" / experiment / name


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    """A progress bar with the time left, on a terminal alone; what it gives is called with (done, total)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
