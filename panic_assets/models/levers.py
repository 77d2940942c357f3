"""What can make a model faster or smaller, and what each such load option costs.

Here belongs the honest label of every lever, as data: what it changes in the outputs, which libraries it needs, what
others have measured, and what of it ran in this project's tests. All are off unless an entry's ``load`` asks for them;
the options themselves are declared in ``parameters``, applied in ``adapters.speed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Effect = Literal["exact", "last bits", "lossy"]

EFFECTS: dict[Effect, str] = {
    "exact": "the same operations on the same numbers: outputs stay as they are",
    "last bits": "equal in exact arithmetic; rounding differs, and a long loop can drift apart from there",
    "lossy": "another computation: outputs differ, and how good they are has to be looked at",
}


@dataclass(frozen=True)
class Lever:
    """One value of a load option. ``option`` is its path in ``load``, ``value`` the beginning of the values meant."""

    option: str
    value: str
    effect: Effect
    does: str
    needs: str
    published: str
    ran: str

    def is_pulled(self, load: Mapping[str, Any]) -> bool:
        """Whether load options of an entry, as written, use it."""
        found: Any = load
        for name in self.option.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(found, str):
            return found == self.value or (self.value.endswith("*") and found.strip("_").startswith(self.value[:-1]))
        return found is True and self.value == "true"


_INDUCTOR = "docs.pytorch.org/devlogs/inductor/2026-05-11-torch-compile-and-diffusers"
_BENCHMARKS = "the dataset diffusers/benchmarks on the hub"
_REGIONAL = f"FLUX.1-dev on an H100: 6.7 to 4.5 s, compiled in 9.6 s instead of 67.4 s ({_INDUCTOR})"
_CPU = "tiny pipelines on a CPU"
_NONE = "none known"

LEVERS: tuple[Lever, ...] = (
    Lever("compile", "regional", "last bits", "compiles the repeated blocks", "a C++ compiler", _REGIONAL, _CPU),
    Lever("compile", "whole", "last bits", "compiles all that denoises", "a C++ compiler", _NONE, _CPU),
    Lever("attention", "native", "last bits", "torch's attention, as it chooses", "torch", _NONE, _CPU),
    Lever("attention", "native_*", "last bits", "one kernel of torch's attention", "torch", _NONE, f"{_CPU}: math"),
    Lever("attention", "flex*", "last bits", "torch's compiled attention", "torch", _NONE, "nothing"),
    Lever("attention", "flash*", "last bits", "FlashAttention", "flash-attn", _NONE, "nothing"),
    Lever("attention", "xformers", "last bits", "attention of xformers", "xformers", _NONE, "nothing"),
    Lever("attention", "sage*", "lossy", "attention in 8 bits", "sageattention", _NONE, "nothing"),
    Lever(
        "attention", "eager", "last bits", "plain attention", "transformers", _NONE, "tiny captioners and chat models"
    ),
    Lever(
        "attention", "sdpa", "last bits", "torch's attention", "transformers", _NONE, "tiny captioners and chat models"
    ),
    Lever("quantisation.kind", "torchao_int8", "lossy", "weights in int8", "torchao", _NONE, "tiny models on a CPU"),
    Lever(
        "quantisation.kind", "torchao_fp8", "lossy", "weights in 8-bit floats", "torchao", _NONE, "tiny models on a CPU"
    ),
    Lever(
        "quantisation.kind",
        "bitsandbytes_int8",
        "lossy",
        "weights in int8, outliers in float16",
        "bitsandbytes",
        _NONE,
        "tiny captioners on a CPU; in pipelines it wants a GPU and did not run",
    ),
    Lever(
        "quantisation.kind",
        "bitsandbytes_nf4",
        "lossy",
        "weights in 4 bits",
        "bitsandbytes",
        f"saves memory, not time: a step of FLUX.1 took 0.512 s in 6.7 GB, 0.493 s in 22.6 GB without ({_BENCHMARKS})",
        "nothing",
    ),
    Lever("step_cache.kind", "taylorseer", "lossy", "extrapolates attention between steps", "diffusers", _NONE, _CPU),
    Lever("step_cache.kind", "pyramid_attention", "lossy", "repeats attention between steps", "diffusers", _NONE, _CPU),
    Lever("step_cache.kind", "magcache", "lossy", "leaves steps out by a table", "diffusers", _NONE, _CPU),
    Lever(
        "step_cache.kind",
        "first_block",
        "lossy",
        "leaves steps out as the batch asks, so outputs depend on companions; wants seed_behaviour none",
        "diffusers",
        "compiled FLUX.1-dev on a B200: 1.40 times as fast, LPIPS 0.08 (unslothai/unsloth, pull request 6703)",
        _CPU,
    ),
    Lever("channels_last", "true", "last bits", "memory layout of convolutions", "torch", _NONE, _CPU),
    Lever("offload", "model", "exact", "keeps components on the host between uses", "accelerate", _NONE, "nothing"),
    Lever(
        "offload",
        "group",
        "exact",
        "keeps leaves on the host, fetches them ahead",
        "diffusers",
        f"slower: a step of FLUX.1 took 1.859 s in 0.56 GB, 0.493 s in 22.6 GB without ({_BENCHMARKS})",
        "tiny pipelines from CPU to CPU",
    ),
    Lever("offload", "sequential", "exact", "keeps leaves on the host between uses", "accelerate", _NONE, "nothing"),
)
"""Every value of every lever; a value that ends in * stands for all that begin so, underscores in front aside."""


def levers_of(load: Mapping[str, Any]) -> list[Lever]:
    """The levers that load options use."""
    return [lever for lever in LEVERS if lever.is_pulled(load)]


def as_table(levers: Iterable[Lever] = LEVERS) -> str:
    """The levers as a table in Markdown, as the documentation shows it."""
    lines = ["| load option | outputs | what it does | needs | published | ran here |", "|---|---|---|---|---|---|"]
    for lever in levers:
        option = f"`{lever.option}: {lever.value}`"
        lines.append(f"| {option} | {lever.effect} | {lever.does} | {lever.needs} | {lever.published} | {lever.ran} |")
    return "\n".join(lines)


DEPENDS_ON_COMPANIONS = ("first_block",)
"""Kinds of step cache whose decisions are averaged over a batch, so that an output is not repeated in another."""


def step_cache_problems(load: Mapping[str, Any], parameters: Mapping[str, Any], seed_behaviour: str) -> list[str]:
    """What is wrong with an entry's step cache, seen together with its other fields."""
    cache = load.get("step_cache")
    if not isinstance(cache, Mapping):
        return []
    kind, steps = cache.get("kind"), parameters.get("num_inference_steps")
    if kind in DEPENDS_ON_COMPANIONS and seed_behaviour != "none":
        return [
            f"load.step_cache: {kind} decides by the mean of a batch, so an output depends on its companions; "
            "say seed_behaviour: none if that is wanted, or take taylorseer"
        ]
    if kind == "magcache" and cache.get("num_inference_steps") != steps:
        return [f"load.step_cache.num_inference_steps: must be that of parameters, {steps}"]
    return []
