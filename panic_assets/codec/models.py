"""VAEs at work: pictures to latents and back by ONNX Runtime, with sessions that are opened once.

Here belong the networks of others and how values go in and out of them. Where their files are is told by
``configuration``; the codec's own model, whose symbols are coded with learned probabilities, has ``latent_model``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from panic_assets.codec.configuration import Runtime, VaeSettings, WrongConfiguration, settings_of
from panic_assets.codec.errors import CodecError, MissingModel, UnfitValue

_RANGES = {"0_1": (0.0, 1.0), "-1_1": (-1.0, 1.0)}
_TYPES: dict[str, type[np.floating]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
_CUDA = "CUDAExecutionProvider"
_KEPT_SESSIONS = 8

Stamp = tuple[tuple[str, int, int], ...]
"""Path, time of change and bytes of each file that belongs to a network."""


class BrokenModel(CodecError, RuntimeError):
    """A network that can't be opened, or does not do what its settings say."""


@dataclass(frozen=True)
class Network:
    """A session with one input and, of its outputs, the first.

    ``sides``: what the input must measure, None where it is free.
    """

    path: Path
    session: Any
    input_name: str
    output_name: str
    dtype: type[np.floating]
    sides: tuple[int | None, ...]

    def run(self, values: np.ndarray) -> np.ndarray:
        """Float32 (n, channels, h, w) in and out; where a network takes a fixed number of pictures, so many at a time.

        Raises: :class:`UnfitValue` for what the network does not take, :class:`BrokenModel` where it fails.
        """
        self._check(values.shape)
        count, at_once = len(values), self.sides[0] or max(len(values), 1)
        made = []
        for start in range(0, count, at_once):
            part = values[start : start + at_once].astype(self.dtype, copy=False)
            # What a network of a fixed number lacks is filled up with the last one, and dropped again.
            missing = at_once - len(part) if self.sides[0] else 0
            part = np.concatenate([part, np.repeat(part[-1:], missing, 0)]) if missing else part
            made.append(self._call(part)[: at_once - missing])
        return np.concatenate(made) if made else np.zeros((0, 0, 0, 0), np.float32)

    def _call(self, values: np.ndarray) -> np.ndarray:
        try:
            found = self.session.run([self.output_name], {self.input_name: np.ascontiguousarray(values)})[0]
        except Exception as problem:  # ONNX Runtime's errors have no root of their own
            raise BrokenModel(f"{self.path} failed on {values.shape}: {_first_line(problem)}") from problem
        if found.ndim != 4 or len(found) != len(values) or not np.isfinite(found).all():
            what = "values that are no numbers" if found.ndim == 4 and len(found) == len(values) else str(found.shape)
            raise BrokenModel(f"{self.path} made {what} of {values.shape}; give a network (n, c, h, w) to (n, c, h, w)")
        return found.astype(np.float32, copy=False)

    def _check(self, shape: tuple[int, ...]) -> None:
        for axis, side, fixed in zip(("channels", "height", "width"), shape[1:], self.sides[1:], strict=True):
            if fixed is not None and side != fixed:
                raise UnfitValue(
                    f"{self.path} takes {fixed} for {axis} and nothing else, and is given {side}; "
                    + ("is it the other half of the VAE?" if axis == "channels" else "export it with free sides")
                )


class Vae:
    """A VAE in both directions; its networks are opened when they are first needed, once in a process.

    Latents are (what the encoder gives - latent_shift) * latent_scale, as diffusion pipelines have them. May be used
    from several threads.
    """

    def __init__(self, settings: VaeSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._device = device

    @property
    def stride(self) -> int:
        """Pixels for each position of latents, down and across."""
        return self.settings.table.stride

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Positions of latents down and across, of a picture of so many pixels."""
        return -(-height // self.stride), -(-width // self.stride)

    @property
    def identity(self) -> bytes:
        """32 bytes: SHA-256 over all that decoding depends on: the decoder's files and how it is used, and the KLT.

        Of a model without decoder, over its encoder's. Not the names of files, nor the encoder beside a decoder: an
        encoder may get better while what it wrote stays readable.
        """
        table = self.settings.table
        network = table.decoder or table.encoder
        assert network is not None
        digest = hashlib.sha256()
        for path in (network, *([table.klt] if table.klt else [])):
            digest.update(_digest(*_stamp(path)))
        # repr() of a float is exact and the same everywhere.
        used = (table.output_range, float(table.latent_scale), float(table.latent_shift), table.stride)
        digest.update(repr(used).encode())
        return digest.digest()

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Latents of pictures, uint8 (n, h, w, 3), as float32 (n, channels, ceil(h / stride), ceil(w / stride)).

        The last row and column are repeated up to whole strides. Raises: :class:`UnfitValue`, :class:`MissingModel`,
        :class:`BrokenModel`.
        """
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or 0 in pictures.shape[1:]:
            raise UnfitValue(
                f"pictures {pictures.shape} {pictures.dtype}; give uint8 (n, height, width, 3), opacity apart"
            )
        table, stride = self.settings.table, self.stride
        height, width = pictures.shape[1:3]
        padding = ((0, 0), (0, -height % stride), (0, -width % stride), (0, 0))
        low, high = _RANGES[table.input_range]
        planes = np.pad(pictures, padding, mode="edge").transpose(0, 3, 1, 2).astype(np.float32)
        made = self.network("encoder").run(planes * np.float32((high - low) / 255) + np.float32(low))
        made = made[:, : table.latent_channels]
        rows, columns = self.grid(height, width)
        if len(pictures) and made.shape[2:] != (rows, columns):
            raise BrokenModel(
                f"{table.encoder} made {made.shape[2]}x{made.shape[3]} latents of {planes.shape[2]}x{planes.shape[3]} "
                f"pixels, which is not one for {stride}x{stride}; correct `stride` of {self.settings.name}"
            )
        scaled: np.ndarray = (made - np.float32(table.latent_shift)) * np.float32(table.latent_scale)
        return scaled

    def decode(self, latents: np.ndarray, height: int | None = None, width: int | None = None) -> np.ndarray:
        """Pictures of latents (n, channels, h, w), as uint8 (n, height, width, 3).

        Without ``height`` and ``width`` whole strides. Raises: as :meth:`encode`.
        """
        table, stride = self.settings.table, self.stride
        if latents.ndim != 4 or latents.dtype.kind != "f" or 0 in latents.shape[1:]:
            raise UnfitValue(f"latents {latents.shape} {latents.dtype}; give floats (n, channels, h, w)")
        rows, columns = latents.shape[2:]
        height, width = height or rows * stride, width or columns * stride
        if self.grid(height, width) != (rows, columns):
            raise UnfitValue(f"{rows}x{columns} latents are not those of {height}x{width} pixels with stride {stride}")
        raw = latents.astype(np.float32) / np.float32(table.latent_scale) + np.float32(table.latent_shift)
        made = self.network("decoder").run(raw)
        if len(latents) and made.shape[1:] != (3, rows * stride, columns * stride):
            raise BrokenModel(
                f"{table.decoder} made {made.shape[1:]} of {rows}x{columns} latents, and not "
                f"{(3, rows * stride, columns * stride)}; correct `stride` of {self.settings.name}"
            )
        low, high = _RANGES[table.output_range]
        values = (made[:, :, :height, :width] - np.float32(low)) * np.float32(255 / (high - low))
        return np.ascontiguousarray(np.clip(np.rint(values), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1))

    def network(self, half: Literal["encoder", "decoder"]) -> Network:
        """One half as it is: raw values in and out. Raises: :class:`MissingModel`, :class:`BrokenModel`."""
        path = getattr(self.settings.table, half)
        if path is None:
            raise MissingModel(f"model {self.settings.name} has no {half}; give models.{self.settings.name}.{half}")
        return _network(path, _stamp(path), self.settings.runtime, self._device)


def load_vae(model: str | Path | Vae, config: Path | str | None = None, device: str = "cpu") -> Vae:
    """A VAE by its name in the configuration, by the folder that export-vae wrote, or by a file of ONNX.

    ``device``: with ``cuda`` that provider is tried before those of the configuration. Raises: as
    :func:`panic_assets.codec.configuration.settings_of`; what is wrong with a network is told when it is first used.
    """
    if isinstance(model, Vae):
        return model
    return Vae(settings_of(model, config), device)


def batches_by_shape(shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Indices of equal shapes together, in the order in which each shape first comes.

    >>> batches_by_shape([(64, 64, 3), (32, 64, 3), (64, 64, 3)])
    [[0, 2], [1]]
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(index)
    return list(groups.values())


@lru_cache(maxsize=_KEPT_SESSIONS)
def _network(path: Path, stamp: Stamp, runtime: Runtime, device: str) -> Network:
    """The network of a file; ``stamp`` makes a changed file another one."""
    onnxruntime = _onnxruntime()
    wanted = ((_CUDA,) if device == "cuda" else ()) + runtime.providers
    there = onnxruntime.get_available_providers()
    providers = [provider for provider in dict.fromkeys(wanted) if provider in there]
    if not providers:
        raise WrongConfiguration(f"runtime.providers {', '.join(wanted)}: none is here; there are {', '.join(there)}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = runtime.threads, 1
    options.use_deterministic_compute = runtime.deterministic
    options.log_severity_level = 3  # errors; a warning for each odd initializer helps nobody here
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as problem:  # ONNX Runtime's errors have no root of their own
        raise BrokenModel(f"{path} can't be opened: {_first_line(problem)}; export it again") from problem
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _TYPES:
        told = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise BrokenModel(f"{path} takes {told}; give a network that takes one tensor of floats (n, channels, h, w)")
    sides = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
    return Network(path, session, inputs[0].name, session.get_outputs()[0].name, _TYPES[inputs[0].type], sides)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingModel("VAEs need onnxruntime: pip install 'panic-assets[codec]'") from None
    return onnxruntime


def _stamp(path: Path) -> Stamp:
    files = _files(path) if path.suffix == ".onnx" else [path]
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def _files(path: Path) -> list[Path]:
    """A network's file and, sorted, those beside it with weights too large for it. Raises: :class:`MissingModel`."""
    if not path.is_file():
        raise MissingModel(f"{path} is not there; correct the configuration, or export the model again")
    return [path, *(path.parent / name for name in _outside(path, path.stat().st_mtime_ns))]


@lru_cache(maxsize=64)
def _outside(path: Path, changed: int) -> tuple[str, ...]:
    try:
        import onnx
    except ImportError:
        raise MissingModel("VAEs need onnx: pip install 'panic-assets[codec]'") from None
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as problem:  # protobuf's errors, and whatever the package makes of them
        raise BrokenModel(f"{path} is no network of ONNX: {_first_line(problem)}; export it again") from problem
    places = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return tuple(sorted(places))


@lru_cache(maxsize=64)
def _digest(*stamp: tuple[str, int, int]) -> bytes:
    """SHA-256 over the bytes of files; what they are called does not count."""
    digest = hashlib.sha256()
    for name, _, _ in stamp:
        with open(name, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.digest()


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
