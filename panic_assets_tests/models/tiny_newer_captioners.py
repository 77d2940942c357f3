"""Tiny captioners that joined later than those of ``tiny_captioners``; see ``tiny``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers as t

from panic_assets_tests.models import tiny
from panic_assets_tests.models.tiny import SIZE, TEXT, VISION
from panic_assets_tests.models.tiny_captioners import save

_IDS = {"pad_token_id": 256, "eos_token_id": 256, "bos_token_id": 256}
_LANGUAGE: dict[str, Any] = {
    **TEXT,
    **_IDS,
    "vocab_size": 270,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
}


def _template(image: str) -> str:
    return tiny.CHAT_TEMPLATE.replace("IMAGE_TOKENS", image)


def _silence(model: t.PreTrainedModel, tokens: slice) -> None:
    """Make tokens that are not text unlikely, or an answer would be empty."""
    model.get_output_embeddings().weight.data[tokens] = 0


def _llava_onevision(folder: Path) -> None:
    tokenizer = tiny.qwen_tokenizer("<image>", "<video>", extra_special_tokens={"image_token": "<image>"})
    grid = [[32, 64], [64, 32]]
    config = t.LlavaOnevisionConfig(
        vision_config={**VISION, "model_type": "siglip_vision_model", "vision_use_head": False},
        text_config={**_LANGUAGE, "model_type": "qwen2"},
        image_token_index=257,
        video_token_index=258,
        image_grid_pinpoints=grid,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    images = t.LlavaOnevisionImageProcessor(size=SIZE, image_grid_pinpoints=grid)
    processor = t.LlavaOnevisionProcessor(
        images,
        tokenizer,
        t.LlavaOnevisionVideoProcessor(size=SIZE),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=_template("<image>"),
    )
    save(t.LlavaOnevisionForConditionalGeneration(config), processor, folder)


def _gemma3(folder: Path) -> None:
    specials = {"boi_token": "<soi>", "eoi_token": "<eoi>", "image_token": "<img>"}
    tokenizer = tiny.qwen_tokenizer(*specials.values(), extra_special_tokens=specials)
    config = t.Gemma3Config(
        text_config={**_LANGUAGE, "sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]},
        vision_config={**VISION, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=257,
        eoi_token_index=258,
        image_token_index=259,
    )
    processor = t.Gemma3Processor(
        t.Gemma3ImageProcessor(size=SIZE), tokenizer, chat_template=_template("<soi>"), image_seq_length=4
    )
    save(t.Gemma3ForConditionalGeneration(config), processor, folder)


def _mllama(folder: Path) -> None:
    tokenizer = tiny.qwen_tokenizer("<|image|>", bos_token="<|endoftext|>")
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    config = t.MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
            "max_num_tiles": 2,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        text_config={
            **{key: value for key, value in _LANGUAGE.items() if key != "head_dim"},
            "vocab_size": 257,
            "cross_attention_layers": [1],
            "rope_parameters": rope,
        },
        image_token_index=257,
    )
    images = t.MllamaImageProcessor(size=SIZE, max_image_tiles=2)
    processor = t.MllamaProcessor(images, tokenizer, chat_template=_template("<|image|>"))
    save(t.MllamaForConditionalGeneration(config), processor, folder)


def _pixtral_parts() -> tuple[dict[str, Any], Any]:
    tokenizer = tiny.qwen_tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    tower = {**VISION, "model_type": "pixtral", "head_dim": 8, "image_size": 64}
    return tower, tokenizer


def _pixtral(folder: Path) -> None:
    tower, tokenizer = _pixtral_parts()
    config = t.LlavaConfig(
        vision_config=tower,
        text_config={**_LANGUAGE, "model_type": "mistral"},
        image_token_index=257,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    images = t.PixtralImageProcessor(size={"longest_edge": 64}, patch_size={"height": 8, "width": 8})
    processor = t.PixtralProcessor(images, tokenizer, patch_size=8, chat_template=_template("[IMG]"))
    save(t.LlavaForConditionalGeneration(config), processor, folder)


def _mistral3(folder: Path) -> None:
    tower, tokenizer = _pixtral_parts()
    config = t.Mistral3Config(
        vision_config=tower,
        text_config={**_LANGUAGE, "model_type": "mistral"},
        image_token_index=257,
        spatial_merge_size=2,
    )
    images = t.PixtralImageProcessor(size={"longest_edge": 64}, patch_size={"height": 16, "width": 16})
    processor = t.PixtralProcessor(
        images, tokenizer, patch_size=8, spatial_merge_size=2, chat_template=_template("[IMG]")
    )
    save(t.Mistral3ForConditionalGeneration(config), processor, folder)


def _internvl(folder: Path) -> None:
    specials = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = tiny.qwen_tokenizer(*specials.values(), extra_special_tokens=specials)
    config = t.InternVLConfig(
        vision_config={**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
        text_config={**_LANGUAGE, "model_type": "qwen2"},
        image_token_id=259,
        downsample_ratio=0.5,
    )
    processor = t.InternVLProcessor(
        t.GotOcr2ImageProcessor(size=SIZE, crop_to_patches=False),
        tokenizer,
        t.InternVLVideoProcessor(size=SIZE),
        image_seq_length=4,
        chat_template=_template("<IMG_CONTEXT>"),
    )
    save(t.InternVLForConditionalGeneration(config), processor, folder)


def _instructblip(folder: Path) -> None:
    tokenizer = tiny.t5_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    language = {"model_type": "t5", "vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_heads": 4}
    config = t.InstructBlipConfig(
        vision_config=VISION,
        qformer_config={**TEXT, "vocab_size": 60, "encoder_hidden_size": 32, "cross_attention_frequency": 2},
        text_config={**language, "num_layers": 2, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1},
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = t.InstructBlipProcessor(
        t.BlipImageProcessor(size=SIZE), tokenizer, tiny.bert_tokenizer(), num_query_tokens=4
    )
    model = t.InstructBlipForConditionalGeneration(config)
    _silence(model, slice(0, 4))
    save(model, processor, folder)


def _paligemma(folder: Path) -> None:
    tokenizer = tiny.gemma_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    image = tokenizer.convert_tokens_to_ids("<image>")
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    config = t.PaliGemmaConfig(
        vision_config={**VISION, "vision_use_head": False},
        text_config={**_LANGUAGE, **ids, "model_type": "gemma", "vocab_size": 1200},
        image_token_index=image,
        projection_dim=32,
    )
    images = t.SiglipImageProcessor(size=SIZE)
    images.image_seq_length = 16
    model = t.PaliGemmaForConditionalGeneration(config)
    _silence(model, slice(0, 6))
    _silence(model, slice(image, None))
    save(model, t.PaliGemmaProcessor(images, tokenizer), folder)


def _lfm2_vl(folder: Path) -> None:
    specials = {
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail": "<|img_thumbnail|>",
    }
    tokenizer = tiny.qwen_tokenizer(*specials.values(), extra_special_tokens=specials)
    config = t.Lfm2VlConfig(
        vision_config={**VISION, "num_patches": 16, "vision_use_head": False},
        text_config={**_LANGUAGE, "layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
        image_token_id=257,
        downsample_factor=2,
        projector_hidden_size=32,
    )
    images = t.Lfm2VlImageProcessor(
        tile_size=32, min_image_tokens=1, max_image_tokens=4, encoder_patch_size=8, do_image_splitting=False
    )
    processor = t.Lfm2VlProcessor(images, tokenizer, chat_template=_template("<image>"))
    save(t.Lfm2VlForConditionalGeneration(config), processor, folder)


def _gemma3n(folder: Path) -> None:
    specials = {
        "boi_token": "<soi>",
        "eoi_token": "<eoi>",
        "image_token": "<img>",
        "boa_token": "<soa>",
        "eoa_token": "<eoa>",
        "audio_token": "<audio>",
    }
    tokenizer = tiny.qwen_tokenizer(*specials.values(), extra_special_tokens=specials)
    text = {
        **_LANGUAGE,
        "intermediate_size": [64, 64],
        "vocab_size_per_layer_input": 270,
        "hidden_size_per_layer_input": 8,
        "laurel_rank": 4,
        "num_kv_shared_layers": 0,
        "sliding_window": 64,
        "layer_types": ["sliding_attention", "full_attention"],
        "activation_sparsity_pattern": [0.0, 0.0],
        "altup_num_inputs": 2,
    }
    audio = {
        "vocab_size": 8,
        "vocab_offset": 300,
        "hidden_size": 32,
        "conf_num_hidden_layers": 1,
        "conf_num_attention_heads": 4,
        "sscp_conv_channel_size": [8, 4],
        "input_feat_size": 16,
    }
    vision = {"architecture": "test_byobnet", "hidden_size": 256, "vocab_size": 8, "vocab_offset": 292}
    config = t.Gemma3nConfig(
        text_config=text,
        audio_config=audio,
        vision_config=vision,
        vision_soft_tokens_per_image=4,
        audio_soft_tokens_per_image=4,
        boi_token_id=257,
        eoi_token_id=258,
        image_token_id=259,
        boa_token_id=260,
        eoa_token_id=261,
        audio_token_id=262,
    )
    processor = t.Gemma3nProcessor(
        t.Gemma3nAudioFeatureExtractor(),
        t.SiglipImageProcessor(size={"height": 64, "width": 64}),
        tokenizer,
        chat_template=_template("<img>"),
        image_seq_length=4,
    )
    save(t.Gemma3nForConditionalGeneration(config), processor, folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "LlavaOnevisionForConditionalGeneration": _llava_onevision,
    "Gemma3ForConditionalGeneration": _gemma3,
    "MllamaForConditionalGeneration": _mllama,
    "LlavaForConditionalGeneration-pixtral": _pixtral,
    "Mistral3ForConditionalGeneration": _mistral3,
    "InternVLForConditionalGeneration": _internvl,
    "InstructBlipForConditionalGeneration": _instructblip,
    "PaliGemmaForConditionalGeneration": _paligemma,
    "Lfm2VlForConditionalGeneration": _lfm2_vl,
    "Gemma3nForConditionalGeneration": _gemma3n,
}
