"""Recipe of the bundled text-to-image pipeline: a small U-Net trained by flow matching on the autoencoder's latents.

Saved as an ordinary diffusers ``StableDiffusionPipeline`` with a UniPC scheduler in its flow setting.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel, UniPCMultistepScheduler
from transformers import CLIPTextModel, CLIPTokenizer

from panic_assets.models.bundled import prompts
from panic_assets.models.bundled.autoencoder import LATENT_CHANNELS
from panic_assets.models.bundled.training import Schedule, train
from panic_assets.models.bundled.world import Scene

_EMPTY_SHARE, _GARBLED_SHARE = 0.10, 0.06  # for guidance; for words from outside the world
_VARIANTS = 3  # prompts prepared per scene: canonical, reversed, garbled


class _Denoiser(torch.nn.Module):
    def __init__(self, unet: UNet2DConditionModel, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.encoder = encoder


def fit(
    latents: torch.Tensor,
    scenes: list[Scene],
    tokenizer: CLIPTokenizer,
    encoder: CLIPTextModel,
    schedule: Schedule,
    seed: int,
    work: Path,
    batch: int = 64,
) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Train U-Net and text encoder together. ``latents``: float32 (n, 8, 8, 8) of unit scale, one per scene."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(48, 96),
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
        layers_per_block=1,
        cross_attention_dim=prompts.WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    ).to(memory_format=torch.channels_last)
    model = _Denoiser(unet, encoder)
    ids = _prepared_prompts(tokenizer, scenes, seed)
    empty = prompts.encode(tokenizer, [""])[0]

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        index = torch.randint(len(latents), (batch,), generator=generator)
        clean, chance = latents[index], torch.rand(batch, generator=generator)
        variant = torch.where(chance < _GARBLED_SHARE, 2, torch.where(chance < 0.25, 1, 0))
        words = ids[index, variant]
        words[chance > 1 - _EMPTY_SHARE] = empty
        noise = torch.randn(clean.shape, generator=generator)
        time = torch.sigmoid(torch.randn(batch, generator=generator) * 1.2 + 0.4)
        mix = time[:, None, None, None]
        noisy = ((1 - mix) * clean + mix * noise).contiguous(memory_format=torch.channels_last)
        seen = model.encoder(words).last_hidden_state
        velocity = model.unet(noisy, time * 1000, seen).sample
        return (velocity - (noise - clean)).square().mean()

    train("denoiser", model, loss_of, schedule, seed, work, average=0.999, every=500)
    return model.unet.eval(), model.encoder.eval()


def pipeline(
    autoencoder: AutoencoderTiny, unet: UNet2DConditionModel, encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """The parts as a standard pipeline without a safety checker."""
    scheduler = UniPCMultistepScheduler(
        num_train_timesteps=1000,
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=1.0,
        solver_order=2,
        final_sigmas_type="zero",
        timestep_spacing="linspace",
        steps_offset=1,
    )
    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _prepared_prompts(tokenizer: CLIPTokenizer, scenes: list[Scene], seed: int) -> torch.Tensor:
    """Token ids (n, 3, 24): each scene told canonically, reversed, and garbled."""
    rng = random.Random(seed)
    spoken = [[s.caption, s.reversed_caption, prompts.garble(s.caption, rng)] for s in scenes]
    flat = prompts.encode(tokenizer, [prompt for told in spoken for prompt in told])
    return flat.reshape(len(scenes), _VARIANTS, -1)
