"""``panic codec``: pictures to the codec's files and back, and how it does beside others.

Here belong arguments, where files go, and printing; all that is computed comes from ``codec``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from panic_assets import paths
from panic_assets.cli.codec_comparing import of_experiment, of_folder, print_findings, print_rows
from panic_assets.cli.common import AsJson, Named, dagster_instance, execute, print_json, progress_bar
from panic_assets.cli.experiments import Quiet
from panic_assets.cli.names import complete_experiment, complete_model, experiment_named
from panic_assets.errors import PanicError

SUFFIX = ".plc"
_MOST_COMPARED = 20

ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Bundled or configured model, or a folder; latent-codec without."),
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]

codec_app = typer.Typer(no_args_is_help=True, help="Compress pictures by a learned transform or any VAE.")


@codec_app.command("encode")
def encode(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture that Pillow reads.")],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help=f"What to write; IMAGE with {SUFFIX} without.")
    ] = None,
    quality: Annotated[
        int, typer.Option("--quality", "-q", min=1, max=16, help="Bytes and likeness rise with it.")
    ] = 8,
    lossless: Annotated[bool, typer.Option("--lossless", help="Give back exactly this picture.")] = False,
    model: ModelOption = None,
    transform: Annotated[
        Literal["none", "hadamard", "klt"] | None,
        typer.Option(help="Across the channels of a VAE; without, the model's own KLT if it has one."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compress a picture into a file.

    Example: panic codec encode photo.png --quality 10
    """
    from panic_assets.codec import api
    from panic_assets.codec.pictures import read_picture

    target = _new(out or image.with_suffix(SUFFIX), force, image)
    picture = read_picture(image)
    data = api.compress(picture, _model(model, transform) or api.DEFAULT_MODEL, quality, lossless=lossless)
    _write(target, data)
    told = api.info(data)
    if as_json:
        print_json(_told(told) | {"file": target})
    else:
        print(f"{target}: {told.bytes:,} bytes, {told.bits_per_pixel:.3f} bits a pixel, {_method(told)}")


@codec_app.command("decode")
def decode(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `panic codec encode` wrote.")],
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="What to write; FILE with .png without.")] = None,
    model: ModelOption = None,
    inexact: Annotated[
        bool, typer.Option("--inexact", help="Take pixels that differ a little from the exact ones promised.")
    ] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a picture of a file again.

    Example: panic codec decode photo.plc again.png
    """
    from panic_assets.codec import api
    from panic_assets.codec.pictures import write_picture

    target = _new(out or file.with_suffix(".png"), force, file)
    picture = api.decompress(file.read_bytes(), model, exact=not inexact)
    aside = target.with_name(f".tmp-{target.name}")
    try:
        write_picture(aside, picture)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    if as_json:
        print_json({"file": target, "shape": picture.shape})
    else:
        print(f"{target}: {picture.shape[1]} x {picture.shape[0]}, {_colours(picture.shape)}")


@codec_app.command("info")
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `panic codec encode` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Tell what a file says of itself, without decoding it.

    Example: panic codec info photo.plc
    """
    from panic_assets.codec import api

    told = api.info(file.read_bytes())
    if as_json:
        print_json(_told(told))
        return
    print(f"{file}: {told.width} x {told.height}, {told.bytes:,} bytes, {told.bits_per_pixel:.3f} bits a pixel")
    print(f"version {told.version}, {_method(told)}")
    for name, value in told.details.items():
        if value is not None:
            print(f"{name.replace('_', ' ')}: {value}")


@codec_app.command("compare")
def compare(
    where: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|EXPERIMENT",
            help="A folder with pictures, or an experiment of the lake.",
            autocompletion=complete_experiment,
        ),
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many pictures, at equal distances.")] = (
        _MOST_COMPARED
    ),
    model: ModelOption = None,
    as_json: AsJson = False,
) -> None:
    """Set this codec beside AVIF, WebP and JPEG on your own pictures.

    Opacity is left out. Times are of the processor, all threads together, and differ from run to run.

    Example: panic codec compare demo --limit 10
    """
    from panic_assets.codec import api, comparing, verdicts

    folder = Path(where)
    pictures, words = of_folder(folder, limit) if folder.is_dir() else of_experiment(where, limit)
    if not as_json:
        print(words, file=sys.stderr)
    with progress_bar("comparing") as show:
        rows = comparing.measure_all(comparing.settings(model or api.DEFAULT_MODEL), pictures, tell=show)
    found = verdicts.verdicts(rows)
    if as_json:
        print_json({"pictures": len(pictures), "rows": rows, "verdicts": found})
    else:
        print_rows(rows)
        print_findings(found, rows)


@codec_app.command("report")
def report(experiment: Named, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Tell what an experiment's pictures would take in each codec, and how far their embeddings would move.

    It is measured on a sample of the pictures that are stored without loss, once; the tables `codec_rates` and
    `codec_comparisons` keep it, `panic report` and `panic serve` show it. `panic run` never does this.

    Example: panic codec report demo
    """
    from panic_assets.defs.partitions import EXPERIMENTS
    from panic_assets.lake import Lake
    from panic_assets.reports.codec.contents import facts_of, measured_in, report_path
    from panic_assets.reports.terminal import StageProgress

    name = experiment_named(experiment)
    with dagster_instance() as instance, StageProgress(silent=quiet or as_json) as progress:
        instance.add_dynamic_partitions(str(EXPERIMENTS.name), [name])
        execute(instance, name, progress, job="codec")
    measured, path = measured_in(Lake.open(), name), report_path(paths.data_dir(), name)
    if as_json:
        print_json({"path": path} | vars(measured))
    elif measured.why_not:
        raise PanicError(f"nothing could be measured: {measured.why_not}")
    elif not quiet:
        for what, told in facts_of(measured):
            print(f"{what}: {told}")
        print()
        print_rows(measured.in_order)
        print_findings(measured.verdicts, measured.rows)
        print(f"\n{path}")


@codec_app.command("export-vae")
def export_vae(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of an AutoencoderKL, an AutoencoderTiny or a pipeline; or a model such as TinyScenes.",
            autocompletion=complete_model,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is new or empty.")],
    name: Annotated[str | None, typer.Option(help="What to call it; the name of OUT without.")] = None,
    klt_from: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Learn a transform across channels from these pictures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a VAE as two ONNX networks that the codec uses without torch.

    What is written is run beside the original, and kept only if it does the same.

    Example: panic codec export-vae TinyScenes my-vae
    """
    from panic_assets.codec.exporting import export_vae
    from panic_assets.models.adapters import fetch_model
    from panic_assets.models.registry import load_registry

    folder, registry = Path(source), load_registry()
    if not folder.is_dir() and source in registry:
        folder = Path(fetch_model(registry[source]))
    pictures = of_folder(klt_from, _MOST_COMPARED)[0] if klt_from else []
    made = export_vae(folder, out, name=name, pictures=pictures)
    if as_json:
        print_json(made)
        return
    print(f"{made.folder}: {made.kind}, {made.byte_size:,} bytes, model {made.identity[:8]}")
    print(f"{made.latent_channels} channels of latents, each for {made.stride} x {made.stride} pixels")
    print(f"differs from the original by {made.deviation:.1g} of the largest value")
    print(f"use it: panic codec encode IMAGE --model {made.folder}")


def _model(model: str | None, transform: Literal["none", "hadamard", "klt"] | None) -> Any:
    """What `api` takes as a model; None for its default."""
    if transform is None:
        return model
    if model is None:
        raise PanicError("--transform is for a VAE: name one with --model")
    from panic_assets.codec.models import load_vae
    from panic_assets.codec.pipeline import VaePipeline

    return VaePipeline(load_vae(model), transform)


def _new(path: Path, force: bool, source: Path) -> Path:
    if path.exists() and (not force or path.samefile(source)):
        raise PanicError(f"{path} is there already; give another name" + ("" if force else ", or --force"))
    return path


def _write(path: Path, data: bytes) -> None:
    from panic_assets.lake.durable import replace_file

    replace_file(path, data)


def _told(told: Any) -> dict[str, Any]:
    return vars(told) | {"bits_per_pixel": told.bits_per_pixel}


def _method(told: Any) -> str:
    how = "lossless" if told.lossless else f"quality {told.quality}" if told.quality else _layers(told.details)
    return f"method {told.method}, {how}"


def _layers(details: dict[str, Any]) -> str:
    """What a file tells that does not tell its quality: from 5 on the residual's step is the picture's own."""
    step = details["residual_step"]
    return f"level {details['level']}" + (f", residual in steps of {step}" if step else "")


def _colours(shape: tuple[int, ...]) -> str:
    return "grey" if len(shape) == 2 else "colours" if shape[2] == 3 else "colours and opacity"
