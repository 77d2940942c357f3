"""Tiny text-to-image pipelines; see ``tiny``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as d
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Gemma2Config,
    Gemma2Model,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from panic_assets_tests.models import tiny

template = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}:{% endif %}"


def _clip_text(projected: bool = False, width: int = 32, **arguments: Any) -> Any:
    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=width,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        **arguments,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def t5() -> T5EncoderModel:
    """Reads texts of ``tiny.t5_tokenizer``; width 32."""
    config = T5Config(vocab_size=98, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return T5EncoderModel(config).eval()


def qwen3(model: type = Qwen3Model, layers: int = 2) -> Any:
    """Reads texts of ``tiny.qwen_tokenizer``; width 16."""
    config = Qwen3Config(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        tie_word_embeddings=False,
    )
    return model(config).eval()


def autoencoder(latents: int = 4, blocks: int = 2, **arguments: Any) -> d.AutoencoderKL:
    """For pictures of 32 x 32, whose sides it halves with each block but the first."""
    return d.AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=latents,
        block_out_channels=(8, 16, 16, 16)[:blocks],
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=32,
        **arguments,
    )


def _unet(**arguments: Any) -> d.UNet2DConditionModel:
    return d.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **arguments,
    )


def flow(**arguments: Any) -> d.FlowMatchEulerDiscreteScheduler:
    """The usual scheduler of flow matching."""
    return d.FlowMatchEulerDiscreteScheduler(**arguments)


def _sd(folder: Path, safety: bool = False, vae: Any = None, half: bool = False) -> None:
    checker = None
    if safety:
        tower = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 16,
            "projection_dim": 16,
        }
        checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=tower, text_config={}, projection_dim=16))
    pipeline = d.StableDiffusionPipeline(
        vae=vae or autoencoder(),
        text_encoder=_clip_text(),
        tokenizer=tiny.clip_tokenizer(),
        unet=_unet(attention_head_dim=4, cross_attention_dim=32),
        scheduler=d.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, steps_offset=1, beta_schedule="scaled_linear"
        ),
        safety_checker=checker,
        feature_extractor=CLIPImageProcessor(size=32, crop_size=32) if safety else None,
        requires_safety_checker=safety,
    )
    if half:
        pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(folder)


def _sd_bundled(folder: Path) -> None:
    """As the bundled pipeline is: the small autoencoder, and float16 files."""
    channels = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    layers = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    _sd(folder, vae=d.AutoencoderTiny(latent_channels=4, **channels, **layers), half=True)


def _sdxl(folder: Path) -> None:
    d.StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=_clip_text(),
        text_encoder_2=_clip_text(projected=True),
        tokenizer=tiny.clip_tokenizer(),
        tokenizer_2=tiny.clip_tokenizer(),
        unet=_unet(
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=80,
            cross_attention_dim=64,
        ),
        # Draws noise at each step, as SDXL-Turbo does.
        scheduler=d.EulerAncestralDiscreteScheduler(timestep_spacing="trailing"),
    ).save_pretrained(folder)


def _sd3(folder: Path) -> None:
    d.StableDiffusion3Pipeline(
        transformer=d.SD3Transformer2DModel(
            sample_size=32,
            patch_size=1,
            in_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=64,
            caption_projection_dim=32,
            pooled_projection_dim=64,
            out_channels=4,
        ),
        scheduler=flow(),
        vae=autoencoder(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_clip_text(projected=True, width=16),
        tokenizer=tiny.clip_tokenizer(),
        text_encoder_2=_clip_text(projected=True, width=48),
        tokenizer_2=tiny.clip_tokenizer(),
        text_encoder_3=_t5_for_sd3(),
        tokenizer_3=tiny.t5_tokenizer(),
    ).save_pretrained(folder)


def _t5_for_sd3() -> T5EncoderModel:
    return T5EncoderModel(T5Config(vocab_size=98, d_model=64, d_kv=8, d_ff=64, num_layers=1, num_heads=4)).eval()


def _flux(folder: Path) -> None:
    d.FluxPipeline(
        scheduler=flow(),
        vae=autoencoder(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_clip_text(),
        tokenizer=tiny.clip_tokenizer(),
        text_encoder_2=t5(),
        tokenizer_2=tiny.t5_tokenizer(),
        transformer=d.FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 8),
        ),
    ).save_pretrained(folder)


def _zimage(folder: Path) -> None:
    transformer = d.ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=4,
        dim=16,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[4, 2, 2],
        axes_lens=[1024, 64, 64],
    )
    d.ZImagePipeline(
        scheduler=flow(shift=3.0),
        vae=autoencoder(shift_factor=0.06),
        text_encoder=qwen3(),
        tokenizer=tiny.qwen_tokenizer(chat_template=template),
        transformer=transformer,
    ).save_pretrained(folder)


def _sana(folder: Path, sprint: bool = False) -> None:
    text = Gemma2Config(
        vocab_size=100,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    extra = {"guidance_embeds": True, "qk_norm": "rms_norm_across_heads"} if sprint else {}
    transformer = d.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=8,
        sample_size=32,
        patch_size=1,
        **extra,
    )
    vae = d.AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
    )
    scheduler = (
        d.SCMScheduler()
        if sprint
        else d.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    )
    pipeline = d.SanaSprintPipeline if sprint else d.SanaPipeline
    pipeline(
        tokenizer=tiny.gemma_tokenizer(),
        text_encoder=Gemma2Model(text).eval(),
        vae=vae,
        transformer=transformer,
        scheduler=scheduler,
    ).save_pretrained(folder)


def _pixart(folder: Path) -> None:
    transformer = d.PixArtTransformer2DModel(
        sample_size=16,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=32,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=16,
        use_additional_conditions=False,
    )
    d.PixArtSigmaPipeline(
        tokenizer=tiny.t5_tokenizer(300),
        text_encoder=t5(),
        vae=autoencoder(),
        transformer=transformer,
        scheduler=d.DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)


def _qwen_image(folder: Path) -> None:
    text = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 300,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "fullatt_block_indexes": [0],
        },
    )
    d.QwenImagePipeline(
        scheduler=flow(),
        vae=d.AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 2, 2],
            num_res_blocks=1,
            temperal_downsample=[False, True],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(text).eval(),
        tokenizer=tiny.qwen_tokenizer(),
        transformer=d.QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 6, 6),
        ),
    ).save_pretrained(folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "StableDiffusionPipeline": _sd,
    "StableDiffusionPipeline-safety": lambda folder: _sd(folder, safety=True),
    "StableDiffusionPipeline-bundled": _sd_bundled,
    "StableDiffusionXLPipeline": _sdxl,
    "StableDiffusion3Pipeline": _sd3,
    "FluxPipeline": _flux,
    "ZImagePipeline": _zimage,
    "SanaPipeline": _sana,
    "SanaSprintPipeline": lambda folder: _sana(folder, sprint=True),
    "PixArtSigmaPipeline": _pixart,
    "QwenImagePipeline": _qwen_image,
}
