"""How good the bundled models are, measured on scenes that no model was trained on.

Here belong the measures and the model cards written from them. Pictures are judged by the bundled captioner, whose own
accuracy on drawn pictures is the ceiling, and their backgrounds by their pixels.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from transformers import BlipForConditionalGeneration, CLIPModel, CLIPTokenizer

from panic_assets.models.bundled import contrast, world
from panic_assets.models.bundled.autoencoder import psnr
from panic_assets.models.bundled.captioner import captions
from panic_assets.models.bundled.corpus import Corpus

# The two ways in which the registry calls the pipeline.
VARIANTS = {"TinyScenes": (8, 1.5), "TinyScenesFast": (4, 1.0)}
_BATCH = 8


def attributes(truth: Sequence[world.Scene], said: Sequence[str]) -> dict[str, float]:
    """Shares of captions that tell each attribute of a scene rightly; ``all`` is the whole scene."""
    told = [world.parse(caption) for caption in said]
    pairs = list(zip(truth, told, strict=True))

    def share(is_right: Callable[[world.Scene, world.Scene], bool]) -> float:
        return sum(seen is not None and is_right(scene, seen) for scene, seen in pairs) / len(pairs)

    def things(name: str) -> Callable[[world.Scene, world.Scene], bool]:
        return lambda a, b: [getattr(t, name) for t in a.things] == [getattr(t, name) for t in b.things]

    return {
        "number": share(lambda a, b: len(a.things) == len(b.things)),
        "shapes": share(things("shape")),
        "colours": share(things("colour")),
        "sizes": share(things("size")),
        "relation": share(lambda a, b: a.relation == b.relation),
        "background": share(lambda a, b: a.background == b.background),
        "all": share(lambda a, b: a == b),
    }


def backgrounds(pictures: torch.Tensor) -> list[str]:
    """The named background nearest to the median of each picture's rim; pictures in [-1, 1], (n, 3, 64, 64)."""
    rim = torch.cat([pictures[:, :, :2].flatten(2), pictures[:, :, -2:].flatten(2)], 2).median(2).values
    palette = torch.tensor(list(world.BACKGROUNDS.values())) / 127.5 - 1
    nearest = (rim[:, None] - palette[None]).square().sum(-1).argmin(1)
    return [list(world.BACKGROUNDS)[i] for i in nearest.tolist()]


def paint(
    pipeline: StableDiffusionPipeline, prompts: Sequence[str], steps: int, guidance: float
) -> tuple[torch.Tensor, float]:
    """Pictures in [-1, 1] (n, 3, 64, 64), seeded by their place, and seconds a picture in batches of eight."""
    pipeline.set_progress_bar_config(disable=True)
    parts, started = [], time.perf_counter()
    for start in range(0, len(prompts), _BATCH):
        batch = list(prompts[start : start + _BATCH])
        drawn = pipeline(
            batch,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(start + i) for i in range(len(batch))],
            height=world.SIDE,
            width=world.SIDE,
            output_type="np",
        ).images
        parts.append(torch.from_numpy(np.asarray(drawn)).permute(0, 3, 1, 2) * 2 - 1)
    return torch.cat(parts), (time.perf_counter() - started) / len(prompts)


@torch.no_grad()
def evaluate(folder: Path, held: Corpus, count: int = 512) -> dict[str, Any]:
    """Measure the models under ``folder`` on the first ``count`` held-out scenes (the captioner on all)."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder / "tiny-scenes", dtype=torch.float32)
    captioner = BlipForConditionalGeneration.from_pretrained(folder / "tiny-captioner", dtype=torch.float32).eval()
    clip = CLIPModel.from_pretrained(folder / "tiny-clip", dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tiny-clip")
    drawn = held.images(torch.arange(len(held))).contiguous()
    started = time.perf_counter()
    said = captions(captioner, drawn, batch=_BATCH)
    caption_seconds = (time.perf_counter() - started) / len(held)
    scenes = held.scenes[:count]
    decoded = _through(pipeline.vae, drawn[:count])
    results: dict[str, Any] = {
        "captioner": {
            "held_out_scenes": len(held),
            "exact": sum(a == s.caption for a, s in zip(said, held.scenes, strict=True)) / len(held),
            **attributes(held.scenes, said),
            "seconds_a_caption": caption_seconds,
        },
        "autoencoder": {
            "psnr_db": psnr(decoded, drawn[:count]),
            **attributes(scenes, captions(captioner, decoded.contiguous())),
        },
        "clip": contrast.evaluate(clip, tokenizer, held),
    }
    for name, (steps, guidance) in VARIANTS.items():
        pictures, seconds = paint(pipeline, [scene.caption for scene in scenes], steps, guidance)
        seen = captions(captioner, pictures.contiguous())
        by_pixels = backgrounds(pictures)
        results[name] = {
            "prompts": count,
            "steps": steps,
            "guidance_scale": guidance,
            **attributes(scenes, seen),
            "background_by_pixels": sum(b == s.background for b, s in zip(by_pixels, scenes, strict=True)) / count,
            "seconds_a_picture": seconds,
        }
    results["megabytes"] = {
        name: sum(f.stat().st_size for f in (folder / name).rglob("*.safetensors")) / 1e6
        for name in ("tiny-scenes", "tiny-captioner", "tiny-clip")
    }
    results["torch_threads"] = torch.get_num_threads()
    return results


def write_cards(folder: Path, results: dict[str, Any]) -> None:
    """``evaluation.json`` under ``folder`` and a model card beside each model's weights."""
    rounded = json.loads(json.dumps(results), parse_float=lambda text: float(f"{float(text):.4g}"))
    (folder / "evaluation.json").write_text(json.dumps(rounded, indent=2) + "\n")
    parts = {
        "tiny-scenes": ("text to image", {name: rounded[name] for name in (*VARIANTS, "autoencoder")}),
        "tiny-captioner": ("image to text", {"captioner": rounded["captioner"]}),
        "tiny-clip": ("joint embedding of text and image", {"clip": rounded["clip"]}),
    }
    for name, (task, measures) in parts.items():
        (folder / name / "README.md").write_text(_card(name, task, measures, rounded["megabytes"][name]))


def _card(name: str, task: str, measures: dict[str, Any], megabytes: float) -> str:
    lines = [
        "---",
        "license: mit",
        "---",
        f"# {name}",
        "",
        f"A very small model ({task}, {megabytes:.1f} MB in float16) of a procedurally drawn world of coloured shapes,",
        "trained from scratch on pictures that `panic_assets.models.bundled` draws. It shows how feedback loops behave",
        "on a laptop; it knows nothing of photographs. Prompts from outside its world run, and end up inside it.",
        "",
        "Train it again with `python -m panic_assets.models.bundled.recipe`.",
        "",
        "## Evaluation",
        "",
        "On scenes whose captions were never trained on (5 % of all, chosen by a hash). Shares of 1 unless the name",
        "says otherwise; pictures are judged by the bundled captioner, so its own share is the ceiling.",
        "",
    ]
    for title, values in measures.items():
        lines += [f"### {title}", "", "| measure | value |", "|---|---|"]
        lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in values.items()]
        lines.append("")
    return "\n".join(lines)


def _through(autoencoder: AutoencoderTiny, pictures: torch.Tensor) -> torch.Tensor:
    parts = [autoencoder.decode(autoencoder.encode(p).latents).sample.clamp(-1, 1) for p in pictures.split(64)]
    return torch.cat(parts)
