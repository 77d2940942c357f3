"""On a linear network both attacks reach exactly what can be reached; none leaves its ball or its box."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from panic_assets.studies.measures.attacks import Norm, Target, fgsm, noise, pgd
from panic_assets.studies.measures.readout import Readout, readout_of
from panic_assets.studies.records import Dataset, Hyperparameters
from panic_assets_tests.studies.measures.make import linear, network, part

NORMS: list[Norm] = ["l2", "linf"]
DUAL = {"l2": 2, "linf": 1}  # the norm of a plane's direction by which inputs move against it


def two_classes() -> tuple[Target, torch.Tensor, np.ndarray]:
    """A linear network of two classes, inputs, and the direction in which each is turned."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(2, 7)).astype(np.float32)
    x, labels = random.normal(size=(9, 7)), random.integers(0, 2, 9)
    rows = part(x, labels)
    readout = readout_of(Dataset("network_identification", rows, rows, rows, ("a", "b")), np.arange(9))
    return (
        Target(linear(weight, [0.3, -0.1]), readout.lead),
        torch.as_tensor(rows.x),
        weight[1 - labels] - weight[labels],
    )


def two_targets() -> tuple[Target, torch.Tensor, np.ndarray]:
    """A linear network whose outputs are to be nearer to their own than to the other of two targets."""
    random = np.random.default_rng(1)
    weight = random.normal(size=(4, 7)).astype(np.float32)
    targets = random.normal(size=(2, 4)).astype(np.float32)
    own = np.arange(8) % 2
    rows = part(random.normal(size=(8, 7)), targets[own])
    readout = readout_of(Dataset("next_step", rows, rows, rows, ()), np.arange(8))
    # |f - own|^2 - |f - other|^2 grows with f by 2 (other - own).
    return Target(linear(weight), readout.lead), torch.as_tensor(rows.x), 2 * (targets[1 - own] - targets[own]) @ weight


@pytest.mark.parametrize("case", [two_classes, two_targets])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("epsilon", [0.05, 2.0])
def test_attacks_on_a_linear_network_equal_the_closed_form(case, norm: Norm, epsilon: float) -> None:  # type: ignore[no-untyped-def]
    target, x, direction = case()
    closed = target.reached(x).numpy() + epsilon * np.linalg.norm(direction, DUAL[norm], axis=1)
    unit = np.sign(direction) if norm == "linf" else direction / np.linalg.norm(direction, axis=1, keepdims=True)
    one, many = fgsm(target, x, norm, epsilon), pgd(target, x, norm, epsilon, steps=10)
    assert one.numpy() == pytest.approx(x.numpy() + epsilon * unit, abs=1e-5)
    assert many.numpy() == pytest.approx(x.numpy() + epsilon * unit, abs=2e-4)
    assert target.reached(one).numpy() == pytest.approx(closed, rel=1e-4, abs=1e-4)
    assert target.reached(many).numpy() == pytest.approx(closed, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_no_attack_leaves_its_ball_or_its_box(norm: Norm) -> None:
    model = network(Hyperparameters(layers=2, width=16), (6,), 3, gain=3.0)
    own = torch.arange(20) % 3
    target = Target(model, Readout(torch.eye(3), torch.zeros(3), own).lead, box=(0.0, 1.0))
    x = torch.rand(20, 6, generator=torch.Generator().manual_seed(0))
    random = torch.Generator().manual_seed(1)
    for changed in (
        fgsm(target, x, norm, 0.4),
        pgd(target, x, norm, 0.4, steps=7, restarts=3, generator=random),
    ):
        moved = (changed - x).norm(dim=1) if norm == "l2" else (changed - x).abs().amax(dim=1)
        assert float(moved.max()) <= 0.4 + 1e-5
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert float(noise(target, x, norm, 5.0, random).min()) >= 0


@pytest.mark.parametrize("norm", NORMS)
def test_many_steps_reach_at_least_the_start_and_more_starts_no_less(norm: Norm) -> None:
    model = network(Hyperparameters(layers=3, width=16, activation="tanh"), (6,), 3, gain=4.0)
    target = Target(model, Readout(torch.eye(3), torch.zeros(3), torch.arange(30) % 3).lead)
    x = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    once = target.reached(pgd(target, x, norm, 0.5))
    often = target.reached(pgd(target, x, norm, 0.5, restarts=4, generator=torch.Generator().manual_seed(1)))
    assert bool((once >= target.reached(x)).all())
    assert bool((often >= once).all())
    assert float((often - once).max()) > 0
    assert float(once.mean()) > float(target.reached(fgsm(target, x, norm, 0.5)).mean())


def test_no_gradient_means_no_change_and_no_nan() -> None:
    target = Target(linear(np.zeros((2, 3))), Readout(torch.eye(2), torch.zeros(2), torch.zeros(4).long()).lead)
    x = torch.ones(4, 3)
    for norm in NORMS:
        assert torch.equal(fgsm(target, x, norm, 1.0), x)
        assert torch.equal(pgd(target, x, norm, 1.0), x)


def test_noise_is_as_long_as_it_says_in_the_mean_square() -> None:
    target = Target(linear(np.eye(50)), lambda outputs: outputs.sum(dim=1))
    x = torch.zeros(4000, 50)
    random = torch.Generator().manual_seed(0)
    whole = noise(target, x, "l2", 0.7, random).square().sum(dim=1).mean() ** 0.5
    single = noise(target, x, "linf", 0.7, random).square().mean() ** 0.5
    assert [float(whole), float(single)] == pytest.approx([0.7, 0.7], rel=0.01)
