"""Tiny text-to-image pipelines whose texts are read by a language model, and kin of Flux; see ``tiny``.

The older families and what they share with these are in ``tiny_pipelines``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as d
import transformers as t
from tokenizers.processors import TemplateProcessing

from panic_assets_tests.models import tiny
from panic_assets_tests.models.tiny_pipelines import autoencoder, flow, qwen3, t5, template

_SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
_FLUX = {"patch_size": 1, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}


def _flux2_autoencoder() -> d.AutoencoderKLFlux2:
    """Latents of 4 channels, which pipelines fold to 16."""
    return d.AutoencoderKLFlux2(
        latent_channels=4,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=32,
    )


def _plain_autoencoder(**arguments: Any) -> d.AutoencoderKL:
    return autoencoder(shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False, **arguments)


def _qwen_vl(layers: int = 1) -> t.Qwen2_5_VLForConditionalGeneration:
    rope = {"type": "mrope", "rope_type": "default", "mrope_section": [2, 1, 1]}
    text = {**_SMALL, "vocab_size": 300, "num_hidden_layers": layers, "rope_scaling": rope}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    config = t.Qwen2_5_VLConfig(text_config=text, vision_config={**vision, "fullatt_block_indexes": [0]})
    return t.Qwen2_5_VLForConditionalGeneration(config).eval()


def _mistral3(layers: int) -> t.Mistral3Config:
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return t.Mistral3Config(
        text_config={**_SMALL, "model_type": "mistral", "vocab_size": 300, "num_hidden_layers": layers},
        vision_config={**tower, "model_type": "pixtral", "image_size": 32, "patch_size": 8, "head_dim": 8},
        image_token_index=257,
        spatial_merge_size=2,
    )


def _byte_reader() -> t.T5EncoderModel:
    """Reads the letters of words in quotation marks; width 16."""
    config = t.T5Config(vocab_size=384, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return t.T5EncoderModel(config).eval()


def _chroma(folder: Path) -> None:
    d.ChromaPipeline(
        scheduler=flow(),
        vae=_plain_autoencoder(),
        text_encoder=t5(),
        tokenizer=tiny.t5_tokenizer(),
        transformer=d.ChromaTransformer2DModel(
            **_FLUX,
            in_channels=16,
            joint_attention_dim=32,
            axes_dims_rope=(4, 4, 8),
            approximator_num_channels=8,
            approximator_hidden_dim=32,
            approximator_layers=1,
        ),
    ).save_pretrained(folder)


def _lumina2(folder: Path) -> None:
    text = t.Gemma2Config(**{**_SMALL, "vocab_size": 100, "num_hidden_layers": 2})
    d.Lumina2Pipeline(
        scheduler=flow(),
        vae=_plain_autoencoder(blocks=4),  # the pipeline counts on a factor of 8
        text_encoder=t.Gemma2Model(text).eval(),
        tokenizer=tiny.gemma_tokenizer(),
        transformer=d.Lumina2Transformer2DModel(
            sample_size=16,
            in_channels=4,
            hidden_size=24,
            num_layers=1,
            num_refiner_layers=1,
            num_attention_heads=3,
            num_kv_heads=1,
            multiple_of=16,
            axes_dim_rope=(4, 2, 2),
            axes_lens=(300, 64, 64),
            cap_feat_dim=16,
        ),
    ).save_pretrained(folder)


def _cogview4(folder: Path) -> None:
    tokenizer = tiny.qwen_tokenizer("<sop>", padding_side="left")
    start = TemplateProcessing(single="<sop> $A", special_tokens=[("<sop>", 257)])
    tokenizer.backend_tokenizer.post_processor = start  # the pipeline gives an empty text, which must not be no tokens
    text = t.GlmConfig(**{**_SMALL, "vocab_size": 300, "num_hidden_layers": 2, "pad_token_id": 256})
    d.CogView4Pipeline(
        scheduler=flow(base_shift=0.25, max_shift=0.75, base_image_seq_len=256, use_dynamic_shifting=True),
        vae=_plain_autoencoder(),
        text_encoder=t.GlmModel(text).eval(),
        tokenizer=tokenizer,
        transformer=d.CogView4Transformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            text_embed_dim=16,
            time_embed_dim=16,
            condition_dim=8,
            sample_size=16,
            rope_axes_dim=(8, 8),
        ),
    ).save_pretrained(folder)


def _ovis(folder: Path) -> None:
    d.OvisImagePipeline(
        scheduler=flow(),
        vae=_plain_autoencoder(),
        text_encoder=qwen3(),
        tokenizer=tiny.qwen_tokenizer(chat_template=template),
        transformer=d.OvisImageTransformer2DModel(
            **_FLUX, in_channels=16, out_channels=16, joint_attention_dim=16, axes_dims_rope=(4, 4, 8)
        ),
    ).save_pretrained(folder)


def _longcat(folder: Path) -> None:
    tokenizer = tiny.qwen_tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    processor = t.Qwen2VLProcessor(
        t.Qwen2VLImageProcessor(), tokenizer, t.Qwen2VLVideoProcessor(), chat_template=template
    )
    d.LongCatImagePipeline(
        scheduler=flow(),
        vae=_plain_autoencoder(latents=16),
        text_encoder=_qwen_vl(),
        tokenizer=tokenizer,
        text_processor=processor,
        transformer=d.LongCatImageTransformer2DModel(
            **_FLUX, in_channels=64, joint_attention_dim=16, pooled_projection_dim=16, axes_dims_rope=[4, 4, 8]
        ),
    ).save_pretrained(folder)


def _flux2(folder: Path) -> None:
    tokenizer = tiny.qwen_tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    processor = t.PixtralProcessor(
        t.PixtralImageProcessor(size={"longest_edge": 32}, patch_size={"height": 8, "width": 8}),
        tokenizer,
        patch_size=8,
        spatial_merge_size=2,
        chat_template=tiny.CHAT_TEMPLATE.replace("IMAGE_TOKENS", "[IMG]"),
    )
    d.Flux2Pipeline(
        scheduler=flow(),
        vae=_flux2_autoencoder(),
        text_encoder=t.Mistral3ForConditionalGeneration(_mistral3(31)).eval(),  # layers 10, 20 and 30 are read
        tokenizer=processor,
        transformer=d.Flux2Transformer2DModel(
            **_FLUX,
            in_channels=16,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=True,
        ),
    ).save_pretrained(folder)


def _flux2_klein(folder: Path) -> None:
    d.Flux2KleinPipeline(
        scheduler=flow(),
        vae=_flux2_autoencoder(),
        text_encoder=qwen3(t.Qwen3ForCausalLM, layers=28),  # the pipeline reads layers 9, 18 and 27
        tokenizer=tiny.qwen_tokenizer(chat_template=template),
        transformer=d.Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=True,
    ).save_pretrained(folder)


def _ernie(folder: Path) -> None:
    d.ErnieImagePipeline(
        scheduler=flow(),
        vae=_flux2_autoencoder(),
        text_encoder=t.Mistral3Model(_mistral3(2)).eval(),
        tokenizer=tiny.qwen_tokenizer(),
        transformer=d.ErnieImageTransformer2DModel(
            hidden_size=32,
            num_attention_heads=2,
            num_layers=1,
            ffn_hidden_size=32,
            in_channels=16,
            out_channels=16,
            text_in_dim=16,
            rope_axes_dim=(8, 4, 4),
        ),
    ).save_pretrained(folder)


def _hunyuan_image(folder: Path) -> None:
    d.HunyuanImagePipeline(
        scheduler=flow(),
        vae=d.AutoencoderKLHunyuanImage(
            in_channels=3,
            out_channels=3,
            latent_channels=4,
            block_out_channels=(32, 32),
            layers_per_block=1,
            spatial_compression_ratio=2,
            sample_size=32,
            scaling_factor=0.75,
        ),
        text_encoder=_qwen_vl(3),  # the last but two is read
        tokenizer=tiny.qwen_tokenizer(),
        text_encoder_2=_byte_reader(),
        tokenizer_2=t.ByT5Tokenizer(),
        transformer=d.HunyuanImageTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            text_embed_dim=16,
            text_embed_2_dim=16,
            rope_axes_dim=(4, 4),
        ),
        guider=d.AdaptiveProjectedMixGuidance(guidance_scale=3.5),
        ocr_guider=d.AdaptiveProjectedMixGuidance(guidance_scale=3.5),
    ).save_pretrained(folder)


def _hunyuan_dit(folder: Path) -> None:
    text: dict[str, Any] = {**tiny.TEXT, "vocab_size": 60, "max_position_embeddings": 80}
    d.HunyuanDiTPipeline(
        vae=autoencoder(blocks=4),  # the pipeline counts on a factor of 8
        text_encoder=t.BertModel(t.BertConfig(**text)).eval(),
        tokenizer=tiny.bert_tokenizer(length=77),
        text_encoder_2=t5(),
        tokenizer_2=tiny.t5_tokenizer(256),
        transformer=d.HunyuanDiT2DModel(
            sample_size=4,
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=2,
            hidden_size=16,
            in_channels=4,
            cross_attention_dim=32,
            cross_attention_dim_t5=32,
            pooled_projection_dim=16,
            mlp_ratio=2,
        ),
        scheduler=d.DDPMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def _glm_image(folder: Path) -> None:
    specials = {"image_token": "<|image|>", "grid_bos_token": "<sop>", "grid_eos_token": "<eop>"}
    start = "<|dit_token_16384|>"
    tokenizer = tiny.qwen_tokenizer(
        start, *specials.values(), padding_side="left", bos_token=start, extra_special_tokens=specials
    )
    config = t.GlmImageConfig(
        text_config={
            **{key: value for key, value in _SMALL.items() if key != "head_dim"},
            "vocab_size": 300,
            "num_hidden_layers": 1,
            "max_position_embeddings": 1024,
            "pad_token_id": 256,
            "vision_vocab_size": 16,
            "eos_token_id": 17,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "num_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "intermediate_size": 16,
        },
        vq_config={"embed_dim": 8, "num_embeddings": 16, "latent_channels": 16},
        image_token_id=258,
        image_start_token_id=16,
        image_end_token_id=17,  # not among the 16 that it can write, or its grid of tokens would end early
    )
    images = t.GlmImageImageProcessor(patch_size=16)
    d.GlmImagePipeline(
        scheduler=flow(),
        vae=autoencoder(blocks=4, latents_mean=[0.0] * 4, latents_std=[1.0] * 4),
        text_encoder=_byte_reader(),
        tokenizer=t.ByT5Tokenizer(),
        processor=t.GlmImageProcessor(images, tokenizer, chat_template=tiny.CHAT_TEMPLATE),
        vision_language_encoder=t.GlmImageForConditionalGeneration(config).eval(),
        transformer=d.GlmImageTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            text_embed_dim=16,
            time_embed_dim=16,
            condition_dim=8,
            prior_vq_quantizer_codebook_size=16,
        ),
    ).save_pretrained(folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "ChromaPipeline": _chroma,
    "Lumina2Pipeline": _lumina2,
    "CogView4Pipeline": _cogview4,
    "OvisImagePipeline": _ovis,
    "LongCatImagePipeline": _longcat,
    "Flux2Pipeline": _flux2,
    "Flux2KleinPipeline": _flux2_klein,
    "ErnieImagePipeline": _ernie,
    "HunyuanImagePipeline": _hunyuan_image,
    "HunyuanDiTPipeline": _hunyuan_dit,
    "GlmImagePipeline": _glm_image,
}
