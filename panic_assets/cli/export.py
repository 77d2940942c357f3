"""``panic export``: arguments and progress bars of what writes files for other programs.

Here belongs the command line; the files are made by ``reports.export``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, Named, print_json, progress_bar
from panic_assets.cli.names import experiment_named

export_app = typer.Typer(no_args_is_help=True, help="Write videos, film strips, pictures and tables.")


@export_app.command()
def video(
    experiment: Named,
    size: Annotated[str, typer.Option(help="hd (1920 x 1080), 4k or 8k.")] = "hd",
    fps: Annotated[float, typer.Option(help="Steps shown in a second.")] = 2.0,
    codec: Annotated[str | None, typer.Option(help="h264 or av1; by default the first that ffmpeg has.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Show so many runs of each prompt and network.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .mp4 to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write all runs side by side as a film, a frame for each step.

    Examples: panic export video demo, panic export video demo --size 4k --fps 4 -o demo.mp4
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.export.video import export_video

    name = experiment_named(experiment)
    path = output or _place(name, f"mosaic-{size}.mp4")
    with progress_bar("frames") as progress:
        written = export_video(Lake.open(), name, path, size, fps, codec, runs, progress)
    _tell(written, as_json)


@export_app.command()
def strip(
    experiment: Named,
    run: Annotated[
        list[int] | None, typer.Option(help="A run, more by repeating it; by default one of each prompt and network.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of a run.")] = 8,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .png (one sheet), a .pdf (a page each) or a folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write film strips: pictures of a run with what was said of each.

    Examples: panic export strip demo, panic export strip demo --run 12 -o run.pdf
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.export.strip import export_strips

    name = experiment_named(experiment)
    with progress_bar("strips") as progress:
        target = output or _place(name, "strips")
        written = export_strips(Lake.open(), name, target, run or (), count, progress)
    if as_json:
        print_json({"paths": written})
        return
    for path in written:
        print(path)


@export_app.command()
def images(
    experiment: Named,
    folder: Annotated[Path | None, typer.Option(help="Where the pictures go.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Files that are written at once.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Write all pictures as files that say where they come from.

    That is in their EXIF and XMP. It goes on where it was interrupted.

    Example: panic export images demo
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.export.images import export_images

    name = experiment_named(experiment)
    with progress_bar("pictures") as progress:
        done = export_images(Lake.open(), name, folder or _place(name, "images"), threads, progress)
    if as_json:
        print_json(done)
        return
    print(f"{done.folder}: {done.written} pictures written, {done.there} were there")


@export_app.command()
def image(
    experiment: Named,
    run: Annotated[int, typer.Argument(help="Number of the run.")],
    sequence: Annotated[int, typer.Argument(help="Sequence number of the picture, from 0.")],
    file: Annotated[Path, typer.Argument(help="A .webp, .png, .jpg or .avif to write.")],
    as_json: AsJson = False,
) -> None:
    """Write one picture, with its provenance.

    Example: panic export image demo 12 4 picture.png
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.export.images import export_image

    written = export_image(Lake.open(), experiment_named(experiment), run, sequence, file)
    _tell(written, as_json)


@export_app.command()
def bundle(
    experiment: Named,
    target: Annotated[Path, typer.Argument(help="A folder, or a .tar, to write.")],
    images: Annotated[bool, typer.Option("--images/--no-images", help="With the pictures.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write all tables as Parquet, for other programs.

    With checksums and the meaning of each column.

    Example: panic export bundle demo demo.tar
    """
    from panic_assets.lake import Lake
    from panic_assets.reports.export.bundle import export_bundle

    with progress_bar("tables") as progress:
        done = export_bundle(Lake.open(), experiment_named(experiment), target, images, progress)
    if as_json:
        print_json(done)
        return
    held = sum(1 for rows in done.rows.values() if rows)
    print(f"{done.path}: {sum(done.rows.values())} rows in {held} tables ({done.bytes / 2**20:.1f} MiB)")


def _place(experiment: str, name: str) -> Path:
    """Where an export goes if nobody says."""
    return paths.data_dir() / "exports" / experiment / name


def _tell(written: Path, as_json: bool) -> None:
    """Where a file is, and how large."""
    from panic_assets.reports.console import size_in_words

    size = written.stat().st_size
    if as_json:
        print_json({"path": written, "bytes": size})
    else:
        print(f"{written} ({size_in_words(size)})")
