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
from tokenizers.processors import TemplateProcessing

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


def _mpnet(folder: Path) -> None:
    config = t.MPNetConfig(vocab_size=60, max_position_embeddings=66, **TEXT)
    words = [*tiny.bert_tokenizer().get_vocab()]
    vocab = {word: place for place, word in enumerate(["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *words[5:]])}
    tokenizer = t.MPNetTokenizer(vocab=vocab, model_max_length=64)
    _sentences(folder, t.MPNetModel(config, add_pooling_layer=False), tokenizer, "mean", 32)


def _roberta_tokenizer() -> Any:
    """Puts <s> (257) before and </s> (258) behind a text; <pad> is 259."""
    tokenizer = tiny.qwen_tokenizer("<s>", "</s>", "<pad>", bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    specials = [("<s>", 257), ("</s>", 258)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=specials)
    return tokenizer


def _roberta(folder: Path, many_languages: bool = False) -> None:
    tokenizer = _roberta_tokenizer()
    ids = {"bos_token_id": 257, "eos_token_id": 258, "pad_token_id": 259}
    config = (t.XLMRobertaConfig if many_languages else t.RobertaConfig)(
        vocab_size=260, max_position_embeddings=400, **TEXT, **ids
    )
    kind = t.XLMRobertaModel if many_languages else t.RobertaModel
    _sentences(folder, kind(config, add_pooling_layer=False), tokenizer, "cls" if many_languages else "mean", 64)


def _nomic(folder: Path) -> None:
    config = t.NomicBertConfig(vocab_size=57, max_position_embeddings=64, **TEXT)
    _sentences(folder, t.NomicBertModel(config), tiny.bert_tokenizer(), "mean", 32)


def _gte(folder: Path) -> None:
    config = t.GteConfig(vocab_size=57, max_position_embeddings=64, **TEXT)
    _sentences(folder, t.GteModel(config), tiny.bert_tokenizer(), "cls", 32)


def _jina3(folder: Path) -> None:
    tokenizer = _roberta_tokenizer()
    ids = {"bos_token_id": 257, "eos_token_id": 258, "pad_token_id": 259}
    config = t.JinaEmbeddingsV3Config(vocab_size=260, max_position_embeddings=400, **TEXT, **ids)
    _sentences(folder, t.JinaEmbeddingsV3Model(config), tokenizer, "mean", 64)


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


def _dinov3(folder: Path) -> None:
    config = t.DINOv3ViTConfig(num_register_tokens=2, **VISION)
    t.DINOv3ViTModel(config).eval().save_pretrained(folder)
    t.DINOv3ViTImageProcessor(size=SIZE).save_pretrained(folder)


def _siglip2(folder: Path) -> None:
    config = t.Siglip2Config(
        text_config={**TEXT, "vocab_size": 104, "max_position_embeddings": 64, "projection_size": 32},
        # The processor always gives 256 patches of 16 pixels, whatever its files say.
        vision_config={**TEXT, "num_patches": 256, "patch_size": 16},
    )
    t.Siglip2Model(config).eval().save_pretrained(folder)
    t.Siglip2Processor(t.Siglip2ImageProcessor(), tiny.gemma_tokenizer()).save_pretrained(folder)


def _metaclip2(folder: Path) -> None:
    tokenizer = _roberta_tokenizer()
    config = t.MetaClip2Config(
        text_config={
            **TEXT,
            "vocab_size": 260,
            "eos_token_id": 258,
            "pad_token_id": 259,
            "bos_token_id": 257,
            "max_position_embeddings": 77,
            "projection_dim": 16,
        },
        vision_config={**VISION, "projection_dim": 16},
        projection_dim=16,
    )
    t.MetaClip2Model(config).eval().save_pretrained(folder)
    images = t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SIZE)
    t.CLIPProcessor(images, tokenizer).save_pretrained(folder)


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
    "MPNetModel": _mpnet,
    "RobertaModel": _roberta,
    "XLMRobertaModel": lambda folder: _roberta(folder, many_languages=True),
    "NomicBertModel": _nomic,
    "GteModel": _gte,
    "JinaEmbeddingsV3Model": _jina3,
    "CLIPModel": _clip,
    "CLIPModel-bundled": lambda folder: _clip(folder, half=True),
    "SiglipModel": _siglip,
    "Siglip2Model": _siglip2,
    "MetaClip2Model": _metaclip2,
    "Dinov2Model": _dinov2,
    "DINOv3ViTModel": _dinov3,
    "CLIP": _open_clip,
}
