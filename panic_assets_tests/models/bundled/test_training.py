"""The training loop: a stopped training goes on as if it had not been stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from panic_assets.models.bundled.training import Schedule, train


class _KilledError(Exception):
    pass


def _regression(stop_at: int | None = None) -> tuple[torch.nn.Module, object]:
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 1)
    calls = [0]

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        calls[0] += 1
        if stop_at is not None and calls[0] > stop_at:
            raise _KilledError
        x = torch.randn((16, 3), generator=generator)
        return (module(x)[:, 0] - x.sum(1)).square().mean()

    return module, loss_of


def test_a_stopped_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    schedule = Schedule(60, 1e-2, warmup=5, decay=0.5)
    whole, loss_of = _regression()
    train("whole", whole, loss_of, schedule, 3, tmp_path, average=0.9, every=10)  # type: ignore[arg-type]
    stopped, stopping = _regression(stop_at=37)
    with pytest.raises(_KilledError):
        train("stopped", stopped, stopping, schedule, 3, tmp_path, average=0.9, every=10)  # type: ignore[arg-type]
    resumed, loss_of = _regression()
    train("stopped", resumed, loss_of, schedule, 3, tmp_path, average=0.9, every=10)  # type: ignore[arg-type]
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_learns(tmp_path: Path) -> None:
    module, loss_of = _regression()
    train("learning", module, loss_of, Schedule(400, 3e-2, warmup=10), 0, tmp_path, weight_decay=0.0)  # type: ignore[arg-type]
    assert torch.allclose(module.weight, torch.ones(1, 3), atol=0.05)  # type: ignore[arg-type]


def test_the_rate_warms_up_stays_and_decays() -> None:
    schedule = Schedule(100, 1.0, warmup=10, decay=0.4)
    assert schedule.at(0) == pytest.approx(0.1)
    assert schedule.at(30) == schedule.at(59) == 1.0
    assert schedule.at(80) < schedule.at(70) < 1.0
    assert schedule.at(99) == pytest.approx(0.02, abs=0.01)
