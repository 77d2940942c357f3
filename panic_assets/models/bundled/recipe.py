"""The whole recipe: one command that draws the world, trains every bundled model from a seed, and judges them.

Here belong the order, the sizes and the step counts; each model's recipe has a module of its own. It takes about two
hours of one core. A training that was stopped goes on from its last checkpoint in the work folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTextModel, CLIPTokenizer

from panic_assets.models.bundled import autoencoder, captioner, contrast, denoiser, evaluate, prompts, vocabulary
from panic_assets.models.bundled.corpus import Corpus, cached
from panic_assets.models.bundled.training import Schedule
from panic_assets.paths import project_dir

TRAINING_SCENES, HELD_OUT_SCENES = 100_000, 2048
SCHEDULES = {
    "autoencoder": Schedule(3600, 2e-3, warmup=100),
    "captioner": Schedule(8000, 1.2e-3),
    "contrast": Schedule(900, 1e-3),
    "prompts": Schedule(500, 2e-3),
    "denoiser": Schedule(9300, 1.5e-3, decay=0.35),
}


def cook(folder: Path, work: Path, seed: int) -> None:
    """Train all models into ``folder``; ``work`` keeps pictures, checkpoints and logs."""
    corpus = cached(work, TRAINING_SCENES, seed + 1, held_out=False)
    held = cached(work, HELD_OUT_SCENES, seed + 2, held_out=True)
    tokenizer = vocabulary.prompt_tokenizer(work / "tokenizer")
    coder = autoencoder.fit(corpus, held, SCHEDULES["autoencoder"], seed, work)
    teller = captioner.fit(corpus, held, SCHEDULES["captioner"], seed, work)
    captioner.save(teller, folder / "tiny-captioner")
    clip = contrast.fit(corpus, held, tokenizer, teller, SCHEDULES["contrast"], seed, work)
    contrast.save(clip, tokenizer, folder / "tiny-clip")
    encoder = prompts.learn_to_read(tokenizer, corpus.scenes, SCHEDULES["prompts"], seed, work)
    _paint(folder, work, seed, corpus, tokenizer, coder, encoder)
    judge(folder, held)


def judge(folder: Path, held: Corpus) -> None:
    """Evaluate what lies under ``folder`` and write the model cards."""
    evaluate.write_cards(folder, evaluate.evaluate(folder, held))


def _paint(
    folder: Path,
    work: Path,
    seed: int,
    corpus: Corpus,
    tokenizer: CLIPTokenizer,
    coder: AutoencoderTiny,
    encoder: CLIPTextModel,
) -> None:
    latents = autoencoder.encode_all(coder, corpus)
    scale = 1 / latents.std().item()
    unet, encoder = denoiser.fit(
        latents * scale, corpus.scenes, tokenizer, encoder.train(), SCHEDULES["denoiser"], seed, work
    )
    coder.register_to_config(scaling_factor=scale)
    whole = denoiser.pipeline(coder, unet, encoder, tokenizer)
    whole.to(dtype=torch.float16).save_pretrained(folder / "tiny-scenes")


def main() -> None:
    """Parse the command line and cook."""
    parser = argparse.ArgumentParser(description="Train the bundled models.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=project_dir() / "data" / "models")
    parser.add_argument("--work", type=Path, default=Path("data/cache/training"))
    parser.add_argument("--threads", type=int, default=1, help="bits depend on it; the shipped weights used 1")
    parser.add_argument("--only-judge", action="store_true", help="evaluate what is there and write the cards")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only_judge:
        judge(options.out, cached(options.work, HELD_OUT_SCENES, options.seed + 2, held_out=True))
    else:
        cook(options.out, options.work, options.seed)


if __name__ == "__main__":
    main()
