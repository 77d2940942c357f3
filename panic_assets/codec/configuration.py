"""Which VAEs there are, where their files lie, and how networks are run: ``panic_codec.toml``.

Here belongs the file: where it is looked for, what may stand in it, and from the name of a model to its settings.
Nothing here opens a network.

The whole of what may stand in it; only ``encoder`` and ``decoder`` of a model are needed, each for its direction:

.. code-block:: toml

    [runtime]
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]  # the first that is there
    threads = 1
    deterministic = true

    [models.my-vae]
    encoder = "my-vae/encoder.onnx"  # relative to this file
    decoder = "my-vae/decoder.onnx"
    input_range = "-1_1"             # or "0_1": the values of pixels
    output_range = "-1_1"
    latent_scale = 0.13025           # latents are (what the encoder gives - latent_shift) * latent_scale
    latent_shift = 0.0
    latent_channels = 4              # of what the encoder gives, the first so many; all without it
    stride = 8                       # pixels for each position of latents
    klt = "my-vae/klt.npz"           # a transform across channels that was learned for it
    description = "where it is from"
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from panic_assets.codec.errors import CodecError, MissingModel

FILE_NAME = "panic_codec.toml"
VARIABLE = "PANIC_CODEC_CONFIG"

ValueRange = Literal["0_1", "-1_1"]
"""The values that stand for pixels 0 to 255."""

Provider = Annotated[str, Field(pattern=r"^[A-Za-z]+ExecutionProvider$")]


class WrongConfiguration(CodecError, ValueError):
    """A configuration that can't be used as it is written."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Runtime(_Table):
    """How ONNX Runtime works. One thread is the pinned way: sums are then always made in the same order.

    Args:
        providers: of these, the first that is there.
        threads: inside each network.
        deterministic: only operations that give the same values each time.
    """

    providers: Annotated[tuple[Provider, ...], Field(min_length=1)] = ("CPUExecutionProvider",)
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    deterministic: bool = True


class VaeTable(_Table):
    """A model as it stands in the file; see the head of this module."""

    encoder: Path | None = None
    decoder: Path | None = None
    input_range: ValueRange = "-1_1"
    output_range: ValueRange = "-1_1"
    latent_scale: Annotated[float, Field(gt=0)] = 1.0
    latent_shift: float = 0.0
    latent_channels: Annotated[int, Field(ge=1)] | None = None
    stride: Annotated[int, Field(ge=1, le=256)] = 8
    klt: Path | None = None
    description: str = ""

    @model_validator(mode="after")
    def _has_a_network(self) -> VaeTable:
        if self.encoder is None and self.decoder is None:
            raise ValueError("neither encoder nor decoder; give at least one")
        return self


class Configuration(_Table):
    """A whole file."""

    runtime: Runtime = Runtime()
    models: dict[str, VaeTable] = {}


@dataclass(frozen=True)
class VaeSettings:
    """All that is to be known of a model before it is opened. Paths are absolute."""

    name: str
    table: VaeTable
    runtime: Runtime = field(default_factory=Runtime)


def find_configuration(path: Path | str | None = None) -> Path | None:
    """The file in force; None where there is none.

    The first of: ``path``, ``$PANIC_CODEC_CONFIG``, ``panic_codec.toml`` and ``.panic_codec.toml`` in the working
    directory, ``~/.config/panic_assets/codec.toml``. Raises: :class:`MissingModel` where one of the first two is given
    and not there.
    """
    for source, named in (("argument", path), (f"${VARIABLE}", os.environ.get(VARIABLE))):
        if named:
            if not Path(named).is_file():
                raise MissingModel(f"configuration {named} ({source}) is no file; correct the path, or leave it out")
            return Path(named).absolute()
    return next((place.absolute() for place in _usual_places() if place.is_file()), None)


def load_configuration(path: Path) -> Configuration:
    """Read a file; relative paths in it become absolute, from where it lies.

    Raises: :class:`WrongConfiguration` with the file, the field and the value; :class:`MissingModel` without the file.
    """
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
        found = Configuration.model_validate(written)
    except FileNotFoundError:
        raise MissingModel(f"configuration {path} is not there; correct the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise WrongConfiguration(f"{path} is not TOML: {problem}") from None
    except ValidationError as problems:
        raise WrongConfiguration(_told(path, problems)) from None
    folder = path.absolute().parent
    models = {name: _absolute(table, folder) for name, table in found.models.items()}
    return found.model_copy(update={"models": models})


def settings_of(model: str | Path, config: Path | str | None = None) -> VaeSettings:
    """What a person means by a model: its name in the configuration, a folder, or a file of ONNX.

    A folder is one that ``panic codec export-vae`` wrote: it has a configuration of its own with one model. A direct
    ``.onnx`` path stands for the encoder where something is encoded and for the decoder where something is decoded,
    with values of -1 to 1 and latents as they are.

    Raises: :class:`MissingModel`, :class:`WrongConfiguration`.
    """
    direct = Path(model)
    if direct.suffix == ".onnx":
        if not direct.is_file():
            raise MissingModel(f"{direct} is no file; correct the path")
        path = direct.absolute()
        return VaeSettings(str(model), VaeTable(encoder=path, decoder=path), _runtime(config))
    if (direct / FILE_NAME).is_file():
        inside = load_configuration(direct / FILE_NAME)
        if len(inside.models) != 1:
            raise WrongConfiguration(
                f"{direct / FILE_NAME} has {len(inside.models)} models; give it as the configuration, and one by name"
            )
        name, table = next(iter(inside.models.items()))
        return VaeSettings(name, table, _runtime(config) if config else inside.runtime)
    return _named(str(model), config)


def _named(model: str, config: Path | str | None) -> VaeSettings:
    path = find_configuration(config)
    if path is None:
        raise MissingModel(
            f"there is no model {model!r}: no folder of that name with {FILE_NAME} in it, and no configuration; write "
            f"one of {', '.join(map(str, _usual_places()))}, or `panic codec export-vae` and give its folder"
        )
    found = load_configuration(path)
    if model not in found.models:
        near = get_close_matches(model, found.models, n=1)
        known = ", ".join(sorted(found.models)) or "none"
        hint = f"did you mean {near[0]}?" if near else f"it has {known}"
        raise MissingModel(f"{path} has no model {model!r}; {hint}")
    return VaeSettings(model, found.models[model], found.runtime)


def _runtime(config: Path | str | None) -> Runtime:
    path = find_configuration(config)
    return load_configuration(path).runtime if path else Runtime()


def _usual_places() -> tuple[Path, ...]:
    return Path(FILE_NAME), Path(f".{FILE_NAME}"), Path.home() / ".config" / "panic_assets" / "codec.toml"


def _absolute(table: VaeTable, folder: Path) -> VaeTable:
    paths = {field: getattr(table, field) for field in ("encoder", "decoder", "klt")}
    return table.model_copy(
        update={field: folder / path.expanduser() for field, path in paths.items() if path is not None}
    )


def _told(path: Path, problems: ValidationError) -> str:
    lines = []
    for problem in problems.errors():
        field = ".".join(map(str, problem["loc"]))
        value = "" if isinstance(problem["input"], dict) else f" (it is {problem['input']!r})"
        lines.append(f"{field}: {problem['msg']}{value}")
    return f"{path}: " + "; ".join(lines)
