"""Text to image through diffusers: every pipeline that ``DiffusionPipeline`` loads.

Here belongs how a pipeline is loaded part by part, called, and its pictures made plain. Which pipelines there are, and
with which arguments they are called, is registry data.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from transformers import PreTrainedModel

from panic_assets.models.adapters import speed, weights
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.base import Device, Flag, Output
from panic_assets.models.entry import HubSource, ModelEntry
from panic_assets.models.parameters import PipelineLoad

_MODELS = (PreTrainedModel, diffusers.ModelMixin)


class PipelineGenerator(LoadedModel):
    """A diffusion pipeline. Noise comes from one CPU generator for each picture, so it is the same on every device."""

    def __init__(self, entry: ModelEntry, pipeline: Any) -> None:
        super().__init__(entry)
        self._pipeline = pipeline
        self._prepare()

    def _prepare(self) -> None:
        accepted = inspect.signature(self._pipeline.__call__).parameters
        unknown = [name for name in self.entry.parameters if name not in accepted]
        if unknown:
            near = get_close_matches(unknown[0], accepted, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it takes {', '.join(sorted(accepted))}."
            what = f"{type(self._pipeline).__name__} takes no parameter {', '.join(unknown)}"
            raise weights.problem(self.entry, what, f"Correct parameters: {hint}")
        self._arguments = dict(self.entry.parameters)
        self._tokenizer = _longest_reader(self._pipeline)
        asked = self._arguments.get("max_sequence_length")
        default = accepted["max_sequence_length"].default if "max_sequence_length" in accepted else None
        limits = (self.entry.max_text_tokens, asked or default, _reach(self._tokenizer))
        self._limit = min(int(limit) for limit in limits if limit is not None)

    def _invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        prompts = [str(text) for text in inputs]
        speed.forget_steps(self._pipeline)
        place = self._pipeline._execution_device
        own = torch.random.fork_rng(devices=[place] if place.type == "cuda" else [])  # GLM-Image seeds what all share
        with torch.inference_mode(), own, _overheard(getattr(self._pipeline, "vae", None)) as heard:
            result = self._pipeline(
                prompt=list(prompts),  # some pipelines write into the list
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                output_type="np",
                return_dict=False,
                **self._arguments,
            )
        unsafe = _unsafe(result, len(prompts))
        cut = weights.cut_off(self._tokenizer, prompts, self._limit) if self._tokenizer else [False] * len(prompts)
        return [
            _output(picture, {"flagged_by_safety_checker": flagged, "truncated_input": was_cut}, drawn_from)
            for picture, flagged, was_cut, drawn_from in zip(
                result[0], unsafe, cut, _latents(heard, len(prompts)), strict=True
            )
        ]


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Load a pipeline with all its parts.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    place = weights.choose_device(device)
    options = PipelineLoad.model_validate(entry.load)
    folder = weights.locate(entry, fetch=fetch)
    with weights.loading(entry):
        dtype = weights.choose_dtype(entry, place)
        parts = _parts(entry, folder, options, dtype)
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, **parts
        )
        pipeline.set_progress_bar_config(disable=True)
        speed.speed_up(entry, pipeline, options)
        # On a CPU everything is on the host as it is.
        speed.place(pipeline, "none" if place.type == "cpu" else options.offload, place)
    return PipelineGenerator(entry, pipeline)


def fetch(source: HubSource, entry: ModelEntry, offline: bool) -> str:
    """Only the files that the pipeline names: repositories often hold a second copy of all weights."""
    return str(
        diffusers.DiffusionPipeline.download(
            source.repo,
            revision=entry.revision,
            use_safetensors=True,
            variant=PipelineLoad.model_validate(entry.load).variant,
            local_files_only=offline,
        )
    )


def _parts(entry: ModelEntry, folder: Path, options: PipelineLoad, dtype: torch.dtype) -> dict[str, Any]:
    """The pipeline's models, each loaded by itself, because the pipeline itself tells nothing of lost weights."""
    index_file = folder / "model_index.json"
    if not index_file.is_file():
        raise weights.problem(entry, "it has no model_index.json", "Give the folder of a saved diffusers pipeline.")
    index = {
        name: value
        for name, value in json.loads(index_file.read_text(encoding="utf-8")).items()
        if not name.startswith("_") and isinstance(value, list)
    }
    strangers = [name for name in options.without if name not in index]
    if strangers:
        what = f"load.without names {', '.join(strangers)}"
        raise weights.problem(entry, what, f"The pipeline has {', '.join(sorted(index))}.")
    parts: dict[str, Any] = dict.fromkeys(options.without)
    if "safety_checker" in options.without:
        parts["requires_safety_checker"] = False
    kinds = {name: _class(*pair) for name, pair in index.items() if name not in parts}
    models = {name: kind for name, kind in kinds.items() if kind and issubclass(kind, _MODELS)}
    to_quantise = speed.parts_to_quantise(entry, options.quantisation, set(models))
    for name, kind in models.items():
        place = folder / name
        variant = options.variant if options.variant and any(place.glob(f"*.{options.variant}*")) else None
        fewer_bits = speed.quantised(entry, options.quantisation if name in to_quantise else None, kind, dtype)
        parts[name] = weights.load_whole(entry, kind, place, part=name, dtype=dtype, variant=variant, **fewer_bits)
    return parts


def _class(library: str | None, name: str | None) -> type | None:
    """The class of a pipeline's part; the library is a package, or a pipeline's folder inside diffusers."""
    if library is None or name is None:
        return None
    inside = getattr(diffusers.pipelines, library, None)
    found = getattr(inside if inside is not None else importlib.import_module(library), name, None)
    return found if isinstance(found, type) else None


def _longest_reader(pipeline: Any) -> Any:
    """The tokenizer that reads furthest; text that it keeps reaches the model, whatever the others cut off."""
    names = ("processor", "tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")
    readers = (getattr(pipeline, name, None) for name in names)
    found = [t for t in (getattr(r, "tokenizer", r) for r in readers) if callable(t)]  # of a processor its tokenizer
    return max(found, key=_reach, default=None)


def _reach(tokenizer: Any) -> int:
    return int(min(getattr(tokenizer, "model_max_length", 2**31), 2**31))


def _unsafe(result: Sequence[Any], count: int) -> list[bool]:
    """What a safety checker said, if the pipeline has one: its second result."""
    said = result[1] if len(result) > 1 else None
    return [bool(flag) for flag in said] if isinstance(said, list) and len(said) == count else [False] * count


@contextmanager
def _overheard(vae: Any) -> Iterator[list[torch.Tensor]]:
    """What a VAE's decoder is given meanwhile: pipelines differ in what they call latents, not in this."""
    heard: list[torch.Tensor] = []
    decode = getattr(vae, "decode", None)
    if decode is None:
        yield heard
        return
    own = vars(vae).get("decode")

    def listening(latents: torch.Tensor, *arguments: Any, **named: Any) -> Any:
        heard.append(latents)
        return decode(latents, *arguments, **named)

    vae.decode = listening
    try:
        yield heard
    finally:
        if own is None:
            del vae.decode
        else:
            vae.decode = own


def _latents(heard: Sequence[torch.Tensor], count: int) -> list[np.ndarray] | list[None]:
    """Float32 (channels, h, w) for each picture; None where the decoder was not given one of these for each."""
    if any(not isinstance(part, torch.Tensor) or part.ndim != 4 for part in heard) or sum(map(len, heard)) != count:
        return [None] * count
    return [picture for part in heard for picture in part.detach().float().cpu().numpy()]


def _output(picture: np.ndarray, flags: dict[Flag, bool], latents: np.ndarray | None) -> Output:
    """Float values in 0 .. 1, of shape (height, width, 3), as uint8; values that are no numbers become 0."""
    finite = bool(np.isfinite(picture).all())
    clean = picture if finite else np.nan_to_num(picture, nan=0.0, posinf=0.0, neginf=0.0)
    pixels = np.ascontiguousarray((clean.clip(0, 1) * 255).round().astype(np.uint8))
    marks: dict[Flag, bool] = {**flags, "non_finite": not finite}
    return Output(pixels, frozenset(flag for flag, is_set in marks.items() if is_set), latents)
