"""The probability model: whole numbers exactly, wherever it runs; files that are not one are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panic_assets.codec.probability import (
    LARGEST_SYMBOL,
    ONE,
    WEIGHT_ONE,
    BrokenProbabilities,
    IntegerNet,
    Probabilities,
    symbols_for,
)
from panic_assets_tests.codec.networks import BASE, DETAIL, probabilities


def _by_hand(net: IntegerNet, known: list[int], level: int) -> list[int]:
    """The network in Python's unbounded integers, as a decoder in another language would write it."""

    def layer(inputs: list[int], weights: np.ndarray) -> list[int]:
        return [sum(x * int(w) for x, w in zip(inputs, column, strict=True)) for column in weights.T]

    def down(sums: list[int], bias: np.ndarray) -> list[int]:
        return [(s + int(b) + WEIGHT_ONE // 2) // WEIGHT_ONE for s, b in zip(sums, bias, strict=True)]

    def held(values: list[int]) -> list[int]:
        return [min(max(v, 0), (1 << 20) - 1) for v in values]

    hidden = held(down(layer(known, net.first), net.first_bias[level]))
    hidden = held(down(layer(hidden, net.second), net.second_bias))
    ends = [a + b for a, b in zip(layer(hidden, net.third), layer(known, net.straight), strict=True)]
    return down(ends, net.last_bias[level])


@pytest.mark.parametrize("seed", range(3))
def test_a_network_is_what_whole_numbers_say(seed: int) -> None:
    net = probabilities(seed).nets["detail_edge"]
    known = np.random.default_rng(seed).integers(-20_000, 20_000, (40, len(net.first)))
    found = net(known.astype(np.float64), level=seed)
    assert found.astype(int).tolist() == [_by_hand(net, row.tolist(), seed) for row in known]


def test_the_order_of_adding_changes_nothing() -> None:
    net = probabilities().nets["detail_edge"]
    rng = np.random.default_rng(1)
    known, order = (
        rng.integers(-32_640, 32_640, (200, len(net.first))).astype(np.float64),
        rng.permutation(len(net.first)),
    )
    shuffled = replace(net, first=net.first[order], straight=net.straight[order])
    assert np.array_equal(net(known, 0), shuffled(known[:, order], 0))
    alone = np.stack([net(row[None], 0)[0] for row in known])
    assert np.array_equal(net(known, 0), alone)


def _coded(latents: np.ndarray, level: int) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    model, seen = probabilities(), []
    base = model.base(*latents.shape[1:], level, symbols_for(latents[:BASE], seen))
    return np.concatenate([base, model.detail(base, level, symbols_for(latents[BASE:], seen))]), seen


def test_latents_come_back_within_half_a_symbol() -> None:
    latents = np.random.default_rng(2).standard_normal((BASE + DETAIL, 9, 13)) * 20
    known, seen = _coded(latents, 1)
    assert np.abs(known / ONE - latents).max() <= 0.5
    assert sum(symbols.size for _, symbols in seen) == latents.size
    assert len({int(number) for classes, _ in seen for number in classes.ravel()}) > 5


def test_what_no_symbol_reaches_is_held_at_the_largest() -> None:
    known, _ = _coded(np.full((BASE + DETAIL, 4, 4), 1e6), 0)
    assert 0 < np.abs(known).max() <= 2 * LARGEST_SYMBOL * ONE


def test_a_model_is_the_same_when_read_again(tmp_path: Path) -> None:
    model = probabilities()
    np.savez_compressed(tmp_path / "model.npz", **model.arrays())
    again = Probabilities.load(tmp_path / "model.npz")
    assert np.array_equal(model.frequencies, again.frequencies)
    assert np.array_equal(model.nets["fine_edge"].third, again.nets["fine_edge"].third)


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    path, arrays = tmp_path / "model.npz", probabilities().arrays()
    with pytest.raises(BrokenProbabilities, match=r"model\.npz"):
        Probabilities.load(path)
    path.write_bytes(b"not a model")
    with pytest.raises(BrokenProbabilities, match="export it again"):
        Probabilities.load(path)
    np.savez(path, **{name: values for name, values in arrays.items() if name != "top"})
    with pytest.raises(BrokenProbabilities, match="top"):
        Probabilities.load(path)
    np.savez(path, **(arrays | {"frequencies": arrays["frequencies"] - 1}))
    with pytest.raises(BrokenProbabilities, match="frequencies"):
        Probabilities.load(path)
    np.savez(path, **(arrays | {"fine_edge.second": np.full_like(arrays["fine_edge.second"], 2**31 - 1)}))
    with pytest.raises(BrokenProbabilities, match=r"fine_edge.*not exact"):
        Probabilities.load(path)
