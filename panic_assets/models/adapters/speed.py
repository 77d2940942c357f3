"""Applying the levers: compilation, attention, quantisation, step caches, memory layout, offloading.

Here belongs how each is put on a model in memory, and the refusal of what a model can't take. What they cost is in
``levers``; which an entry asks for is registry data.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import diffusers
import torch
import transformers

from panic_assets.models.adapters import weights
from panic_assets.models.entry import ModelEntry
from panic_assets.models.parameters import (
    FirstBlock,
    MagCache,
    PipelineLoad,
    PyramidAttention,
    Quantisation,
    TaylorSeer,
    WritingLoad,
)

COMPILER = "inductor"
"""What torch compiles with."""

_DENOISERS = ("transformer", "unet")


def denoiser(entry: ModelEntry, pipeline: Any) -> Any:
    """The part of a pipeline that runs in every step.

    Raises:
        ModelLoadError: there is none of a known name.
    """
    for name in _DENOISERS:
        if getattr(pipeline, name, None) is not None:
            return getattr(pipeline, name)
    what = f"{type(pipeline).__name__} has no {' and no '.join(_DENOISERS)}"
    raise weights.problem(entry, what, "Remove compile, attention, step_cache and channels_last from load.")


def speed_up(entry: ModelEntry, pipeline: Any, options: PipelineLoad) -> None:
    """Put attention, step cache, memory layout and compilation on a pipeline, as its load options ask.

    Raises:
        ModelLoadError: the pipeline can't take one of them; says which and what would be right.
    """
    if options.attention is not None:
        _choose_attention(entry, denoiser(entry, pipeline), options.attention)
    if options.step_cache is not None:
        _enable_cache(entry, pipeline, options.step_cache)
    if options.channels_last:
        _lay_out(entry, pipeline)
    if options.compile != "none":
        _compile(entry, denoiser(entry, pipeline), options)


def place(pipeline: Any, offload: str, device: torch.device) -> None:
    """Move a pipeline to its device, or have its parts move there when they are used."""
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    elif offload == "group":
        pipeline.enable_group_offload(device, offload_type="leaf_level", use_stream=device.type == "cuda")
    else:
        pipeline.to(device)


def forget_steps(pipeline: Any) -> None:
    """Drop what step caches hold. A call ends with it, but one that failed does not, and the next would read it."""
    for name in _DENOISERS:
        part: Any = getattr(pipeline, name, None)
        if getattr(part, "is_cache_enabled", False):
            part._reset_stateful_cache()


def quantised(
    entry: ModelEntry, quantisation: Quantisation | None, kind: type | None, dtype: torch.dtype
) -> dict[str, Any]:
    """Keyword arguments of ``from_pretrained`` that quantise a model of that class.

    Args:
        entry: for errors.
        quantisation: None for none.
        kind: the class, where it is known; diffusers has its own configurations for its own.
        dtype: what is computed in.

    Raises:
        ModelLoadError: the library is not installed.
    """
    if quantisation is None:
        return {}
    library, _, form = quantisation.kind.partition("_")
    if importlib.util.find_spec(library) is None:
        what = f"quantisation.kind {quantisation.kind} needs the package {library}"
        raise weights.problem(entry, what, f"Run: pip install {library}")
    room: Any = diffusers if kind is not None and issubclass(kind, diffusers.ModelMixin) else transformers
    if library == "torchao":
        from torchao import quantization

        weight_only = {"int8": quantization.Int8WeightOnlyConfig, "fp8": quantization.Float8WeightOnlyConfig}
        return {"quantization_config": room.TorchAoConfig(weight_only[form]())}
    four: dict[str, Any] = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
    settings = {"int8": {"load_in_8bit": True}, "nf4": four}[form]
    return {"quantization_config": room.BitsAndBytesConfig(**settings)}


def parts_to_quantise(entry: ModelEntry, quantisation: Quantisation | None, parts: set[str]) -> set[str]:
    """Which parts of a pipeline are quantised: those named, else what denoises.

    Raises:
        ModelLoadError: a part is named that the pipeline has not.
    """
    if quantisation is None:
        return set()
    if strangers := set(quantisation.components) - parts:
        what = f"load.quantisation.components names {', '.join(sorted(strangers))}"
        raise weights.problem(entry, what, f"The pipeline has the models {', '.join(sorted(parts))}.")
    return set(quantisation.components) or parts & set(_DENOISERS)


def writing_arguments(entry: ModelEntry, options: WritingLoad, dtype: torch.dtype) -> dict[str, Any]:
    """Keyword arguments of ``from_pretrained`` for the levers of a model that writes.

    Raises:
        ModelLoadError: a library is not installed.
    """
    arguments = quantised(entry, options.quantisation, None, dtype)
    if options.attention is None:
        return arguments
    if options.attention.startswith("flash") and importlib.util.find_spec("flash_attn") is None:
        what = f"load.attention is {options.attention}, but the package flash-attn is not installed"
        remedy = "Run: pip install flash-attn. The kernel that transformers would download in its stead is refused."
        raise weights.problem(entry, what, remedy)
    return {**arguments, "attn_implementation": options.attention}


def _choose_attention(entry: ModelEntry, part: Any, name: str) -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Backends

    before, _ = Backends.get_active_backend()
    try:
        part.set_attention_backend(name)
    finally:
        # The library makes it the choice of the whole process, also of models whose entries say nothing.
        Backends.set_active_backend(before)
    processors = [getattr(module, "processor", None) for module in part.modules()]
    if not any(getattr(processor, "_attention_backend", None) for processor in processors):
        what = f"load.attention is {name}, but the attention of {type(part).__name__} can't be chosen"
        raise weights.problem(entry, what, "Remove load.attention.")


def _enable_cache(
    entry: ModelEntry, pipeline: Any, cache: TaylorSeer | PyramidAttention | MagCache | FirstBlock
) -> None:
    part = denoiser(entry, pipeline)
    if not hasattr(part, "enable_cache"):
        what = f"load.step_cache is {cache.kind}, but {type(part).__name__} has no step caches"
        raise weights.problem(entry, what, "Remove load.step_cache.")
    values = cache.model_dump(exclude={"kind"})
    config: Any
    if isinstance(cache, TaylorSeer):
        config = diffusers.TaylorSeerCacheConfig(**values, taylor_factors_dtype=part.dtype)
    elif isinstance(cache, MagCache):
        config = diffusers.MagCacheConfig(**{**values, "mag_ratios": list(cache.mag_ratios)})
    elif isinstance(cache, FirstBlock):
        config = diffusers.FirstBlockCacheConfig(**values)
    else:
        if not hasattr(type(pipeline), "current_timestep"):
            what = f"load.step_cache is {cache.kind}, but {type(pipeline).__name__} does not tell its noise level"
            raise weights.problem(entry, what, "Take taylorseer, or remove load.step_cache.")
        config = diffusers.PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=cache.block_skip_range,
            spatial_attention_timestep_skip_range=cache.timestep_range,
            current_timestep_callback=lambda: pipeline.current_timestep,
        )
    part.enable_cache(config)


def _lay_out(entry: ModelEntry, pipeline: Any) -> None:
    parts = [part for part in (getattr(pipeline, name, None) for name in ("unet", "vae")) if part is not None]
    if not parts:
        what = f"load.channels_last is for a UNet and an autoencoder; {type(pipeline).__name__} has neither"
        raise weights.problem(entry, what, "Remove load.channels_last.")
    for part in parts:
        for module in part.modules():
            for parameter in module.parameters(recurse=False):
                if parameter.ndim == 4:  # of convolutions over pictures; others have no such layout
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _compile(entry: ModelEntry, part: Any, options: PipelineLoad) -> None:
    if options.compile == "whole":
        part.compile(backend=COMPILER)
        return
    if not getattr(part, "_repeated_blocks", None):
        what = f"load.compile is regional, but {type(part).__name__} names no repeated blocks"
        raise weights.problem(entry, what, "Set load.compile to whole.")
    # A step cache decides in Python whether a block is computed: one graph can't hold that.
    part.compile_repeated_blocks(fullgraph=options.step_cache is None, backend=COMPILER)
