"""Tiny chat models; see ``tiny``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers as t

from panic_assets_tests.models import tiny
from panic_assets_tests.models.tiny import TEXT

# Like the real one of Qwen3: without thinking, the thoughts are there and empty.
_SWITCH = (
    "{% if add_generation_prompt and enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
)


def _save(kind: type[t.PreTrainedModel], config: Any, folder: Path, padded: bool = True) -> None:
    tokenizer = tiny.qwen_tokenizer(padding_side="right")
    if not padded:
        tokenizer.pad_token = None
    tokenizer.chat_template = tiny.CHAT_TEMPLATE + _SWITCH
    kind(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _shape() -> dict[str, Any]:
    ids = {"pad_token_id": 256, "eos_token_id": 256, "bos_token_id": 256}
    return {**TEXT, "vocab_size": 257, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, **ids}


def _qwen3(folder: Path) -> None:
    _save(t.Qwen3ForCausalLM, t.Qwen3Config(**_shape()), folder)


def _llama(folder: Path, padded: bool = True) -> None:
    _save(t.LlamaForCausalLM, t.LlamaConfig(**_shape()), folder, padded)


def _gemma3(folder: Path) -> None:
    layers = {"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}
    _save(t.Gemma3ForCausalLM, t.Gemma3TextConfig(**_shape(), **layers), folder)


def _phi3(folder: Path) -> None:
    shape = {key: value for key, value in _shape().items() if key != "head_dim"}
    _save(t.Phi3ForCausalLM, t.Phi3Config(**shape), folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "Qwen3ForCausalLM": _qwen3,
    "LlamaForCausalLM": _llama,
    "LlamaForCausalLM-unpadded": lambda folder: _llama(folder, padded=False),
    "Gemma3ForCausalLM": _gemma3,
    "Phi3ForCausalLM": _phi3,
}
