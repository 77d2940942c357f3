"""Tiny embedding models; see ``tiny``."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import open_clip
import transformers as t
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer

from panic_assets_tests.models import tiny
from panic_assets_tests.models.tiny import SIZE, TEXT, VISION


def _sentences(folder: Path, model: t.PreTrainedModel, tokenizer: Any, pooling: str, length: int) -> None:
    inner = folder.parent / f"{folder.name}-transformer"
    model.eval().save_pretrained(inner)
    tokenizer.save_pretrained(inner)
    word = Transformer(str(inner), max_seq_length=length)
    pool = Pooling(word.get_embedding_dimension(), pooling_mode=pooling)
    SentenceTransformer(modules=[word, pool, Normalize()], device="cpu").save_pretrained(str(folder))


def _bert(folder: Path) -> None:
    config = t.BertConfig(vocab_size=57, max_position_embeddings=64, **TEXT)
    _sentences(folder, t.BertModel(config, add_pooling_layer=False), tiny.bert_tokenizer(), "mean", 32)


def _qwen3(folder: Path) -> None:
    config = t.Qwen3Config(vocab_size=300, num_key_value_heads=2, head_dim=8, max_position_embeddings=512, **TEXT)
    _sentences(folder, t.Qwen3Model(config), tiny.qwen_tokenizer(padding_side="left"), "lasttoken", 256)


def _clip(folder: Path, half: bool = False) -> None:
    ids = {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    config = t.CLIPConfig(
        text_config={**TEXT, **ids, "projection_dim": 16, "max_position_embeddings": 77},
        vision_config={**VISION, "projection_dim": 16},
        projection_dim=16,
    )
    model = t.CLIPModel(config).eval()
    (model.half() if half else model).save_pretrained(folder)
    images = t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE)
    t.CLIPProcessor(images, tiny.clip_tokenizer()).save_pretrained(folder)


def _siglip(folder: Path) -> None:
    from sentencepiece import SentencePieceTrainer

    folder.mkdir(parents=True)
    pieces = BytesIO()
    sentences = iter(["a red cat on a green mat", "two blue dogs", "the quick brown fox jumps over the lazy dog"] * 9)
    SentencePieceTrainer.Train(
        sentence_iterator=sentences,
        model_writer=pieces,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        unk_id=2,
        bos_id=-1,
        eos_id=1,
        pad_id=0,
    )
    (folder / "spiece.model").write_bytes(pieces.getvalue())
    tokenizer = t.SiglipTokenizer(str(folder / "spiece.model"), model_max_length=64)
    config = t.SiglipConfig(
        text_config={**TEXT, "vocab_size": len(tokenizer) + 8, "max_position_embeddings": 64, "projection_size": 32},
        vision_config=VISION,
    )
    t.SiglipModel(config).eval().save_pretrained(folder)
    t.SiglipProcessor(t.SiglipImageProcessor(size=SIZE), tokenizer).save_pretrained(folder)


def _dinov2(folder: Path) -> None:
    config = t.Dinov2Config(mlp_ratio=2, **{key: value for key, value in VISION.items() if key != "intermediate_size"})
    t.Dinov2Model(config).eval().save_pretrained(folder)
    t.BitImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE).save_pretrained(folder)


def _open_clip(folder: Path) -> None:
    folder.mkdir(parents=True)
    settings = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    }
    mean, std = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
    model = open_clip.CLIP(**settings)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    content = {"model_cfg": settings, "preprocess_cfg": {"mean": mean, "std": std}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))


BUILDERS: dict[str, Callable[[Path], None]] = {
    "BertModel": _bert,
    "Qwen3Model": _qwen3,
    "CLIPModel": _clip,
    "CLIPModel-bundled": lambda folder: _clip(folder, half=True),
    "SiglipModel": _siglip,
    "Dinov2Model": _dinov2,
    "CLIP": _open_clip,
}
