"""Tiny random checkpoints, saved to disk in the formats of the real models.

Here belong the parts that several checkpoints share, and ``build``, which makes one by name. Weights are random but the
same each time; what they draw or say means nothing, how they are stored, loaded and called is that of the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertTokenizer, CLIPTokenizer, Qwen2Tokenizer, T5Tokenizer
from transformers.models.gemma import GemmaTokenizer

from panic_assets.models.entry import ModelEntry

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}{% if part.type == 'image' %}IMAGE_TOKENS{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %} :{% endif %}"
)


# Widths are multiples of 16: kernels treat the rest of a row apart, and bits then depend on the place in a batch.
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
VISION = {**TEXT, "image_size": 32, "patch_size": 8}
SIZE = {"height": 32, "width": 32}


def byte_letters() -> list[str]:
    """One printable letter for each of the 256 bytes: the convention of byte-level BPE."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(256 + place) for place, byte in enumerate(set(range(256)) - set(printable))}
    return [letters[byte] for byte in range(256)]


def clip_tokenizer() -> CLIPTokenizer:
    """512 byte pieces and two special tokens; cuts at 77."""
    letters = byte_letters()
    pieces = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: place for place, piece in enumerate(pieces)}, merges=[], model_max_length=77)


def qwen_tokenizer(*specials: str, **arguments: Any) -> Qwen2Tokenizer:
    """256 bytes, the end of text (id 256) and the given special tokens after it."""
    vocab = {piece: place for place, piece in enumerate([*byte_letters(), "<|endoftext|>"])}
    arguments = {"model_max_length": 4096, **arguments}
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[], **arguments)
    tokenizer.add_tokens(list(specials), special_tokens=True)
    return tokenizer


def bert_tokenizer(length: int = 64) -> BertTokenizer:
    """Letters as pieces."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    return BertTokenizer(vocab={word: place for place, word in enumerate(words)}, model_max_length=length)


def t5_tokenizer(length: int = 512) -> T5Tokenizer:
    """Single characters as pieces."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), ("\u2581", -2.0)]
    pieces += [(chr(code), -3.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=length)


def gemma_tokenizer() -> GemmaTokenizer:
    """Single characters as pieces."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *(chr(code) for code in range(33, 127))]
    return GemmaTokenizer(vocab={piece: place for place, piece in enumerate(pieces)}, merges=[], model_max_length=300)


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Noise of different shapes."""
    rng = np.random.default_rng(seed)
    shapes = [(32, 32), (40, 60), (64, 30), (33, 32)]
    return [rng.integers(0, 256, (*shapes[n % 4], 3), dtype=np.uint8) for n in range(count)]


_SMALL: dict[str, dict[str, Any]] = {
    "SanaPipeline": {"use_resolution_binning": False},
    "SanaSprintPipeline": {"use_resolution_binning": False},
    "PixArtSigmaPipeline": {"use_resolution_binning": False},
    "HunyuanDiTPipeline": {"use_resolution_binning": False},
}


def checkpoint_of(model: ModelEntry) -> str:
    """The name of the checkpoint that stands for an entry: its class, or a variant of it."""
    return {"Pixtral": "LlavaForConditionalGeneration-pixtral"}.get(model.name, str(model.model_class))


def entry(model: ModelEntry, folder: Path, **overrides: Any) -> ModelEntry:
    """A registry entry on a tiny checkpoint of its class: its own parameters, save for sizes and numbers of steps."""
    small: dict[str, Any] = {}
    if model.adapter == "diffusers":
        small = {"height": 32, "width": 32, "num_inference_steps": 2, **_SMALL.get(str(model.model_class), {})}
    if model.adapter == "chat":
        small = {"max_new_tokens": 8, "min_new_tokens": 8}
        overrides = {"max_text_tokens": 64, **overrides}
    if model.adapter == "captioner":
        small = {"max_new_tokens": 8, "min_new_tokens": 8}
    parameters = {**small, **overrides.pop("parameters", {})}
    source = {"kind": "folder", "path": str(folder)}
    batch = min(4, model.batch or 4)
    return model.with_overrides(
        {"source": source, "revision": None, "batch": batch, "parameters": parameters, **overrides}
    )


def build(name: str, folder: Path) -> Path:
    """Build the checkpoint of that name in ``folder``."""
    torch.manual_seed(0)
    builders()[name](folder)
    return folder


def builders() -> dict[str, Callable[[Path], None]]:
    """All checkpoints by name; the name is the class that the registry calls ``model_class``, or it and a variant."""
    from panic_assets_tests.models import (
        tiny_captioners,
        tiny_chats,
        tiny_embedders,
        tiny_newer_captioners,
        tiny_newer_pipelines,
        tiny_pipelines,
    )

    rooms = (tiny_pipelines, tiny_newer_pipelines, tiny_captioners, tiny_newer_captioners, tiny_chats, tiny_embedders)
    return {name: make for room in rooms for name, make in room.BUILDERS.items()}
