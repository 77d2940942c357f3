"""The training: the loss is what the measures say, and a stopped training goes on alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from panic_assets.codec import metrics
from panic_assets.codec.training import fit, images
from panic_assets.codec.training.entropy import bits_of
from panic_assets.codec.training.loss import distortion, ms_ssim
from panic_assets.codec.training.transform import LEVELS, Gains
from panic_assets.models.bundled.training import Schedule


@pytest.mark.parametrize("side", [24, 64, 180])
def test_the_loss_measures_as_the_metrics_do(side: int) -> None:
    rng = np.random.default_rng(side)
    original = images.pattern_pictures(side, 1, side)[0]
    decoded = np.clip(original + rng.normal(0, 12, original.shape), 0, 255).astype(np.uint8)
    a, b = (torch.from_numpy(p.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1 for p in (original, decoded))
    assert ms_ssim(a, b).item() == pytest.approx(metrics.ms_ssim(original, decoded), abs=2e-4)
    assert distortion(a, a).item() == pytest.approx(0, abs=0.01)
    assert distortion(a, b).item() > metrics.mse(original, decoded)


def test_bits_of_all_symbols_sum_to_a_probability_of_one() -> None:
    for scale_class in (0.0, 20.0, 40.0):
        symbols = torch.arange(-255, 256, dtype=torch.float64)
        share = torch.exp2(-bits_of(symbols, torch.full_like(symbols, scale_class)))
        assert share.sum().item() == pytest.approx(1, abs=1e-3)


def test_gains_rise_with_every_level() -> None:
    gains = Gains()
    torch.nn.init.normal_(gains.steps)
    gain, inverse = gains.tables()
    assert gain.shape == inverse.shape == (LEVELS, gains.lowest.shape[0])
    assert (gain.diff(dim=0) > 0).all()


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> images.Pools:
    monkeypatch.setattr(fit, "MIXTURES", {side: (2, {"drawn": 1.0}) for side in (64, 128, 256)})
    monkeypatch.setattr(fit, "_SIZES", (64,))
    return images.Pools({"drawn": images.drawn("training", 64, 6, 0)})


def test_a_stopped_training_goes_on_as_if_it_had_not_been(pools: images.Pools, tmp_path: Path) -> None:
    short, long = (Schedule(n, 1e-3, warmup=1, decay=1e-9) for n in (2, 4))
    stages = [("around", short, False), ("whole", long, True)]
    whole = fit.fit(pools, 1, tmp_path / "whole", stages, every=2)
    # With no decay a shorter schedule is the start of a longer one.
    fit.fit(pools, 1, tmp_path / "parts", [("around", short, False), ("whole", short, True)], every=2)
    parts = fit.fit(pools, 1, tmp_path / "parts", stages, every=2)
    newest = fit.latest(tmp_path / "whole", stages)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
        assert torch.equal(value, newest.state_dict()[name]), name


def test_the_autoencoder_rests_while_the_others_learn(pools: images.Pools, tmp_path: Path) -> None:
    before = fit.Codec().state_dict()
    after = fit.fit(pools, 1, tmp_path, [("around", Schedule(2, 1e-3, warmup=1), False)], every=2).state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert "entropy.top" in moved
    assert not [name for name in moved if name.startswith(("encoder.", "decoder.start", "decoder.layers"))]
    assert fit.latest(tmp_path, [("around", Schedule(2, 1e-3), False)]).state_dict().keys() == after.keys()
