"""Tiny captioners; see ``tiny``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers as t

from panic_assets_tests.models import tiny
from panic_assets_tests.models.tiny import SIZE, TEXT, VISION


def save(model: t.PreTrainedModel, processor: Any, folder: Path) -> None:
    """Write a checkpoint with its processor."""
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)


def _blip(folder: Path, half: bool = False) -> None:
    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    text = {**TEXT, "encoder_hidden_size": 32, "vocab_size": 57, "max_position_embeddings": 64, **ids}
    config = t.BlipConfig(text_config=text, vision_config=VISION, projection_dim=32, image_text_hidden_size=32)
    model = t.BlipForConditionalGeneration(config)
    processor = t.BlipProcessor(t.BlipImageProcessor(size=SIZE), tiny.bert_tokenizer())
    save(model.half() if half else model, processor, folder)


def _blip2(folder: Path) -> None:
    language = t.OPTConfig(
        vocab_size=260,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        pad_token_id=256,
        bos_token_id=256,
        eos_token_id=256,
    )
    config = t.Blip2Config(
        vision_config=VISION,
        qformer_config={**TEXT, "vocab_size": 60, "encoder_hidden_size": 32, "cross_attention_frequency": 2},
        text_config=language.to_dict(),
        num_query_tokens=4,
        image_token_index=257,
    )
    tokenizer = tiny.qwen_tokenizer("<image>", extra_special_tokens={"image_token": "<image>"})
    processor = t.Blip2Processor(t.BlipImageProcessor(size=SIZE), tokenizer, num_query_tokens=4)
    save(t.Blip2ForConditionalGeneration(config), processor, folder)


def _git(folder: Path) -> None:
    config = t.GitConfig(
        vision_config=VISION,
        vocab_size=57,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        **TEXT,
    )
    images = t.CLIPImageProcessor(size=SIZE, crop_size=SIZE)
    save(t.GitForCausalLM(config), t.GitProcessor(images, tiny.bert_tokenizer()), folder)


def _florence2(folder: Path) -> None:
    specials = ("<s>", "<pad>", "<image>", "</s>")
    tokenizer = tiny.qwen_tokenizer(
        *specials,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in specials}
    vision = {
        "depths": [1, 1],
        "embed_dim": [8, 16],
        "num_heads": [2, 2],
        "num_groups": [2, 2],
        "patch_size": [7, 3],
        "patch_stride": [4, 2],
        "patch_padding": [3, 1],
        "patch_prenorm": [False, True],
        "window_size": 2,
        "projection_dim": 32,
        "drop_path_rate": 0.0,
    }
    text = {
        "model_type": "bart",
        "vocab_size": 300,
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "pad_token_id": ids["<pad>"],
        "bos_token_id": ids["<s>"],
        "eos_token_id": ids["</s>"],
        "decoder_start_token_id": ids["</s>"],
        "forced_eos_token_id": None,
    }
    config = t.Florence2Config(vision_config=vision, text_config=text, image_token_id=ids["<image>"])
    images = t.CLIPImageProcessor(size=SIZE, crop_size=SIZE)
    images.image_seq_length = 17
    processor = t.Florence2Processor(images, tokenizer, post_processor_config={"pure_text": {}})
    save(t.Florence2ForConditionalGeneration(config), processor, folder)


def _llava(folder: Path, following: bool = False) -> None:
    tokenizer = tiny.qwen_tokenizer("<image>", extra_special_tokens={"image_token": "<image>"})
    text = {**TEXT, "vocab_size": 260, "num_key_value_heads": 2, "model_type": "llama", "max_position_embeddings": 512}
    config_class = t.LlavaNextConfig if following else t.LlavaConfig
    config = config_class(
        vision_config={**VISION, "model_type": "clip_vision_model"},
        text_config={**text, "pad_token_id": 256, "eos_token_id": 256, "bos_token_id": 256},
        image_token_index=257,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        **({"image_grid_pinpoints": [[32, 64], [64, 32]]} if following else {}),
    )
    places = {
        "patch_size": 8,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
        "chat_template": tiny.CHAT_TEMPLATE.replace("IMAGE_TOKENS", "<image>"),
    }
    if following:
        images = t.LlavaNextImageProcessor(
            size={"shortest_edge": 32}, crop_size=SIZE, image_grid_pinpoints=[[32, 64], [64, 32]]
        )
        processor = t.LlavaNextProcessor(images, tokenizer, **places)
        save(t.LlavaNextForConditionalGeneration(config), processor, folder)
    else:
        images = t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE)
        save(t.LlavaForConditionalGeneration(config), t.LlavaProcessor(images, tokenizer, **places), folder)


def _qwen_vl(folder: Path, third: bool = False) -> None:
    specials = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tokenizer = tiny.qwen_tokenizer(*specials)
    text = {
        **TEXT,
        "vocab_size": 270,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [2, 1, 1]},
        "pad_token_id": 256,
        "eos_token_id": 256,
        "bos_token_id": 256,
    }
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
    ids = {"vision_start_token_id": 257, "vision_end_token_id": 258, "image_token_id": 259, "video_token_id": 260}
    patch = 16 if third else 14
    area = {"shortest_edge": 4 * patch * patch, "longest_edge": 16 * patch * patch}
    images = t.Qwen2VLImageProcessor(patch_size=patch, size=area)
    template = tiny.CHAT_TEMPLATE.replace("IMAGE_TOKENS", "<|vision_start|><|image_pad|><|vision_end|>")
    if third:
        vision |= {"patch_size": 16, "deepstack_visual_indexes": [0], "num_position_embeddings": 16}
        model: t.PreTrainedModel = t.Qwen3VLForConditionalGeneration(
            t.Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
        )
        videos = t.Qwen3VLVideoProcessor(patch_size=patch)
        processor = t.Qwen3VLProcessor(images, tokenizer, videos, chat_template=template)
    else:
        vision |= {"fullatt_block_indexes": [1], "window_size": 56}
        model = t.Qwen2_5_VLForConditionalGeneration(t.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids))
        processor = t.Qwen2_5_VLProcessor(images, tokenizer, t.Qwen2VLVideoProcessor(), chat_template=template)
    save(model, processor, folder)


def _smolvlm(folder: Path) -> None:
    specials = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    tokenizer = tiny.qwen_tokenizer(*specials.values(), extra_special_tokens=specials)
    config = t.SmolVLMConfig(
        vision_config=VISION,
        text_config={
            **TEXT,
            "model_type": "llama",
            "vocab_size": 270,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "pad_token_id": 256,
            "eos_token_id": 256,
            "bos_token_id": 256,
        },
        image_token_id=257,
        scale_factor=2,
        pad_token_id=256,
    )
    images = t.SmolVLMImageProcessor(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    videos = t.SmolVLMVideoProcessor(size={"longest_edge": 32}, max_image_size={"longest_edge": 32})
    template = tiny.CHAT_TEMPLATE.replace("IMAGE_TOKENS", "<image>")
    processor = t.SmolVLMProcessor(images, tokenizer, videos, image_seq_len=4, chat_template=template)
    save(t.SmolVLMForConditionalGeneration(config), processor, folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "BlipForConditionalGeneration": _blip,
    "BlipForConditionalGeneration-bundled": lambda folder: _blip(folder, half=True),
    "Blip2ForConditionalGeneration": _blip2,
    "GitForCausalLM": _git,
    "Florence2ForConditionalGeneration": _florence2,
    "LlavaForConditionalGeneration": _llava,
    "LlavaNextForConditionalGeneration": lambda folder: _llava(folder, following=True),
    "Qwen2_5_VLForConditionalGeneration": _qwen_vl,
    "Qwen3VLForConditionalGeneration": lambda folder: _qwen_vl(folder, third=True),
    "SmolVLMForConditionalGeneration": _smolvlm,
}
