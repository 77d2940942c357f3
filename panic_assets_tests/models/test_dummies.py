from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.models.adapters import load_model
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.adapters.dummies import picture_digest
from panic_assets.models.base import Embedder, Generator
from panic_assets.models.errors import ModelCallError
from panic_assets.models.registry import load_registry

REGISTRY = load_registry()


def dummy(name: str, **parameters: Any) -> LoadedModel:
    return load_model(REGISTRY[name].with_overrides({"parameters": parameters}))


def plain(value: str | np.ndarray) -> object:
    return value if isinstance(value, str) else (value.shape, value.tobytes())


def test_protocols() -> None:
    assert isinstance(dummy("DummyT2I"), Generator)
    assert isinstance(dummy("DummyText"), Embedder)


@settings(max_examples=30, deadline=None)
@given(text=st.text(), other=st.text(), seed=st.integers(0, 2**63 - 1))
def test_outputs_are_a_function_of_input_and_seed(text: str, other: str, seed: int) -> None:
    for name in ("DummyT2I", "DummyT2T"):
        first = dummy(name).invoke([text, other], [seed, 1])
        second = dummy(name).invoke([other, text], [1, seed])
        assert plain(first[0].value) == plain(second[1].value)
        assert plain(first[1].value) == plain(second[0].value)


@pytest.mark.parametrize("name", ["DummyT2I", "DummyT2I2", "DummyI2T", "DummyI2T2", "DummyT2T", "DummyI2I"])
def test_input_seed_and_variant_all_count(name: str) -> None:
    entry = REGISTRY[name]
    pair: list[Any] = ["a", "b"]
    if entry.input == "image":
        pair = [np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 3), np.uint8)]
    model = dummy(name)
    outputs = [plain(o.value) for o in model.invoke([pair[0], pair[1], pair[0]], [0, 0, 1])]
    outputs.append(plain(dummy(name, variant=9).invoke([pair[0]], [0])[0].value))
    assert len(set(outputs)) == 4


def test_pictures_are_plain_rgb() -> None:
    picture = dummy("DummyT2I").invoke(["a"], [0])[0].value
    assert isinstance(picture, np.ndarray)
    assert (picture.shape, picture.dtype, picture.flags.c_contiguous) == ((256, 256, 3), np.uint8, True)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 2
    assert dummy("DummyI2I", side=5).invoke([picture], [0])[0].value.shape == (5, 5, 3)


@pytest.mark.parametrize("name", ["DummyT2I", "DummyT2T"])
def test_states_bound_the_number_of_outputs(name: str) -> None:
    outputs = dummy(name, states=3).invoke([str(n) for n in range(100)], list(range(100)))
    assert len({plain(o.value) for o in outputs}) == 3


def test_a_ring_of_few_states_cycles() -> None:
    draw, write = dummy("DummyT2I", states=5), dummy("DummyI2T")
    text, seen = "start", []
    for _ in range(12):
        text = str(write.invoke([draw.invoke([text], [7])[0].value], [7])[0].value)
        seen.append(text)
    assert len(set(seen)) <= 5
    period = 12 - 1 - max(n for n in range(11) if seen[n] == seen[11])
    assert seen[-period:] == seen[-2 * period : -period]


def test_faults_on_texts() -> None:
    model = dummy("DummyT2I", fail_on="bad", black_on="night")
    good, black = model.invoke(["fine", "a night scene"], [0, 0])
    assert np.asarray(good.value).any()
    assert not np.asarray(black.value).any()
    with pytest.raises(ModelCallError, match="fails on purpose"):
        model.invoke(["fine", "a bad one"], [0, 0])
    assert dummy("DummyT2T", empty_on="x").invoke(["xy", "y"], [0, 0])[0].value == ""


def test_faults_on_pictures_match_their_digest() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    digest = picture_digest(picture).hex()
    assert dummy("DummyI2T", empty_on=digest).invoke([picture], [0])[0].value == ""
    assert dummy("DummyI2T", empty_on=digest).invoke([picture + 1], [0])[0].value != ""


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, 40 * 33 * 3 - 1), data=st.randoms(use_true_random=False))
def test_digest_sees_any_pixel(place: int, data: Any) -> None:
    picture = np.frombuffer(data.randbytes(40 * 33 * 3), np.uint8).reshape(40, 33, 3)
    changed = picture.copy()
    changed.flat[place] ^= 1
    assert picture_digest(picture) != picture_digest(changed)
    assert picture_digest(picture) == picture_digest(picture.copy())
    assert picture_digest(picture) != picture_digest(picture.reshape(33, 40, 3))


@pytest.mark.parametrize("name", ["DummyText", "DummyText2", "DummyVision", "DummyVision2"])
def test_embedders(name: str) -> None:
    model = dummy(name)
    medium = next(iter(model.entry.takes))
    items: list[Any] = ["a", "b", "a"]
    if medium == "image":
        items = [np.full((4, 4, 3), n, np.uint8) for n in (1, 2, 1)]
    vectors = model.embed(items, medium)
    assert vectors.shape == (3, model.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert (vectors[0] == vectors[2]).all()
    assert abs(float(vectors[0] @ vectors[1])) < 0.6
    assert (model.embed(items[1:], medium) == vectors[1:]).all()
    assert model.embed([], medium).shape == (0, model.dimension)


def test_wrong_calls_are_refused() -> None:
    draw, text = dummy("DummyT2I"), dummy("DummyText")
    with pytest.raises(ModelCallError, match="2 inputs but 1 seeds"):
        draw.invoke(["a", "b"], [1])
    with pytest.raises(ModelCallError, match="item 0 is int; it must be a text"):
        draw.invoke([3], [1])
    with pytest.raises(ModelCallError, match=r"a seed is -1"):
        draw.invoke(["a"], [-1])
    with pytest.raises(ModelCallError, match=r"float64 \(4, 4, 3\); it must be a uint8"):
        dummy("DummyI2T").invoke([np.zeros((4, 4, 3))], [1])
    with pytest.raises(ModelCallError, match="can't embed image"):
        text.embed([np.zeros((4, 4, 3), np.uint8)], "image")
    with pytest.raises(ModelCallError, match="is an embedding model"):
        text.invoke(["a"], [1])
    with pytest.raises(ModelCallError, match="can't embed text"):
        draw.embed(["a"], "text")
    assert draw.invoke([], []) == []
