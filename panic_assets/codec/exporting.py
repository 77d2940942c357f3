"""From a VAE of diffusers to two files of ONNX and the configuration that names them.

Here belongs the export and the proof that what was written does what the original does. Running the files belongs to
``models``. Needs torch and diffusers; using what was exported does not.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from panic_assets.codec.configuration import FILE_NAME
from panic_assets.codec.errors import CodecError, MissingModel
from panic_assets.codec.models import load_vae
from panic_assets.codec.systems.klt import KLT
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    import torch

ENCODER, DECODER, KLT_FILE = "encoder.onnx", "decoder.onnx", "klt.npz"
_KINDS = ("AutoencoderKL", "AutoencoderTiny")
_OPSET = 18
_TOLERANCE = 2e-3
"""Largest difference from the original that is still one of rounding, of the largest magnitude of a value."""

_EXAMPLE_ROWS, _EXAMPLE_COLUMNS = 5, 7  # in latents: sizes that nothing in a network could mistake for its own
_PROOFS = (
    (1, 4, 4),
    (2, 3, 9),
)  # pictures, rows and columns of latents at which the files must agree with the original


class ExportFailed(CodecError, RuntimeError):
    """A VAE that could not be exported, or was not exported faithfully. Nothing is left behind."""


@dataclass(frozen=True)
class ExportedVae:
    """What was written: ``folder`` has both networks and the configuration, and can be given wherever a model is named.

    ``deviation``: the largest difference from the original, of the largest magnitude of a value, over both networks.
    ``identity``: hexadecimal SHA-256, as files tell which model wrote them.
    """

    folder: Path
    name: str
    kind: str
    latent_channels: int
    stride: int
    latent_scale: float
    latent_shift: float
    deviation: float
    identity: str
    byte_size: int


def export_vae(
    source: Path | str | Any, out: Path, *, name: str | None = None, pictures: Sequence[np.ndarray] = ()
) -> ExportedVae:
    """Write ``encoder.onnx``, ``decoder.onnx`` and ``panic_codec.toml`` into the new folder ``out``.

    Number, height and width of pictures are free. The encoder gives the mode of its distribution, not a draw. Latents
    are scaled and shifted as diffusion pipelines have them.

    Args:
        source: an ``AutoencoderKL`` or ``AutoencoderTiny``, the folder of a saved one, or that of a pipeline with one.
        out: a folder that is not there yet, or is empty.
        name: what the model is called in the configuration; the name of ``out`` without it.
        pictures: uint8 (h, w, 3), each of its own size; from their latents a KLT is learned, and belongs to the model.

    Raises: :class:`MissingModel` for a folder without VAE, :class:`ExportFailed`, :class:`UnfitValue` for pictures that
    are none.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportFailed(f"{out} is there already; give a folder that is new or empty")
    vae = _loaded(source)
    aside = out.with_name(f".{out.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    aside.mkdir(parents=True)
    try:
        made = _export(vae, aside, name or out.name, str(source) if isinstance(source, Path | str) else "", pictures)
        if out.exists():
            out.rmdir()
        os.replace(aside, out)
    except OSError as problem:
        raise ExportFailed(f"{out} could not be written: {problem.strerror or problem}") from problem
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return ExportedVae(folder=out, **made)


def _loaded(source: Any) -> Any:
    import diffusers

    if not isinstance(source, Path | str):
        if type(source).__name__ not in _KINDS:
            raise ExportFailed(f"a {type(source).__name__} can't be exported; give an {' or an '.join(_KINDS)}")
        return source
    folder = _vae_folder(Path(source))
    kind = _kind_in(folder)
    verbosity = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()  # it warns of settings that older versions wrote
    try:
        vae, told = getattr(diffusers, kind).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as problem:
        raise MissingModel(f"{folder} has no weights of an {kind} in safetensors: {problem}") from problem
    finally:
        diffusers.utils.logging.set_verbosity(verbosity)
    if told["missing_keys"]:  # the library fills them with random numbers
        raise MissingModel(f"{folder} lacks weights of its {kind}: {', '.join(sorted(told['missing_keys'])[:3])}")
    return vae


def _vae_folder(folder: Path) -> Path:
    found = [place for place in (folder, folder / "vae") if (place / "config.json").is_file()]
    if not found:
        raise MissingModel(
            f"{folder} is no folder of a VAE or a pipeline (neither config.json nor vae/config.json is there); give "
            "one that diffusers saved"
        )
    return next((place for place in found if _kind_in(place, strict=False) in _KINDS), found[0])


def _kind_in(folder: Path, *, strict: bool = True) -> str:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    except (OSError, ValueError, AttributeError) as problem:
        raise MissingModel(f"{folder / 'config.json'} is not the description of a model: {problem}") from problem
    if strict and kind not in _KINDS:
        raise ExportFailed(f"{folder} has a {kind or 'model without _class_name'}; give an {' or an '.join(_KINDS)}")
    return str(kind)


def _export(vae: Any, folder: Path, name: str, source: str, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
    """Write all files; the fields of :class:`ExportedVae` but the folder."""
    import torch

    vae = vae.cpu().float().eval()
    vae.disable_slicing()
    vae.disable_tiling()
    encoder, decoder = _halves(vae)
    channels = int(vae.config.latent_channels)
    scale, shift = float(vae.config.scaling_factor or 1), float(getattr(vae.config, "shift_factor", None) or 0)
    with torch.inference_mode():
        stride = 64 // encoder(torch.zeros(1, 3, 64, 64)).shape[-1]
    planes = torch.zeros(2, 3, stride * _EXAMPLE_ROWS, stride * _EXAMPLE_COLUMNS)
    latents = torch.zeros(2, channels, _EXAMPLE_ROWS, _EXAMPLE_COLUMNS)
    _to_onnx(encoder, planes, folder / ENCODER, "pictures", "latents")
    _to_onnx(decoder, latents, folder / DECODER, "latents", "pictures")
    fields = {
        "encoder": ENCODER,
        "decoder": DECODER,
        "input_range": "-1_1",
        "output_range": "-1_1",
        "latent_scale": scale,
        "latent_shift": shift,
        "stride": stride,
        "description": f"{type(vae).__name__} {source}".strip(),
    }
    _configure(folder, name, fields)
    if pictures:
        exported = load_vae(folder)
        KLT.learned([exported.encode(picture[None])[0] for picture in pictures]).save(folder / KLT_FILE)
        _configure(folder, name, fields | {"klt": KLT_FILE})
    return {
        "name": name,
        "kind": type(vae).__name__,
        "latent_channels": channels,
        "stride": stride,
        "latent_scale": scale,
        "latent_shift": shift,
        "deviation": _deviation(encoder, decoder, folder, stride, channels),
        "identity": load_vae(folder).identity.hex(),
        "byte_size": sum(path.stat().st_size for path in folder.iterdir()),
    }


def _configure(folder: Path, name: str, fields: dict[str, Any]) -> None:
    # JSON's strings and numbers are TOML's.
    lines = [f"[models.{json.dumps(name)}]", *(f"{field} = {json.dumps(value)}" for field, value in fields.items())]
    (folder / FILE_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _halves(vae: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Encoder and decoder as networks of one tensor each; raw latents, neither scaled nor shifted."""
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vae = vae

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            found = self.vae.encode(pictures)
            latents: torch.Tensor = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
            return latents

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vae = vae

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            pictures: torch.Tensor = self.vae.decode(latents).sample
            return pictures

    return Encoder().eval(), Decoder().eval()


def _to_onnx(network: torch.nn.Module, example: torch.Tensor, path: Path, taken: str, given: str) -> None:
    """Number, height and width free.

    By tracing, not by torch.export: the result is as free and as faithful for these networks, in a twentieth of the
    time.
    """
    import torch

    free = {0: "n", 2: "h", 3: "w"}
    try:
        # What tracing warns of, sizes taken for constants, the proof at other sizes would show.
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                path,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[taken],
                output_names=[given],
                dynamic_axes={taken: free, given: {0: "n", 2: f"{given}_h", 3: f"{given}_w"}},
                verbose=False,
            )
    except ImportError as problem:
        raise MissingModel(f"the export needs {problem.name}: pip install 'panic-assets[codec]'") from None
    except (RuntimeError, ValueError, TypeError) as problem:
        raise ExportFailed(f"{given} can't be written as ONNX: {problem}") from problem


def _deviation(encoder: torch.nn.Module, decoder: torch.nn.Module, folder: Path, stride: int, channels: int) -> float:
    """Largest difference of the files from the originals at other sizes. Raises: :class:`ExportFailed`."""
    import torch

    vae, worst = load_vae(folder), 0.0
    noise = np.random.default_rng(0)
    for count, rows, columns in _PROOFS:
        pictures = noise.uniform(-1, 1, (count, 3, rows * stride, columns * stride)).astype(np.float32)
        latents = noise.standard_normal((count, channels, rows, columns)).astype(np.float32)
        checks: tuple[tuple[Literal["encoder", "decoder"], np.ndarray, torch.nn.Module], ...] = (
            ("encoder", pictures, encoder),
            ("decoder", latents, decoder),
        )
        for half, values, run in checks:
            with torch.inference_mode():
                wanted = run(torch.from_numpy(values)).numpy()
            try:
                made = vae.network(half).run(values)
            except PanicError as problem:
                raise ExportFailed(f"the exported {half} does not run at {values.shape}: {problem}") from problem
            if made.shape != wanted.shape or not np.isfinite(wanted).all():
                raise ExportFailed(f"the exported {half} gives {made.shape} for {values.shape}, not {wanted.shape}")
            worst = max(worst, float(np.abs(made - wanted).max() / max(np.abs(wanted).max(), 1e-6)))
    if worst > _TOLERANCE:
        raise ExportFailed(f"exported networks differ from the originals by {worst:.2g} of the largest value")
    return worst
