"""Certificates hold against every attack tried; curves fall; areas and radii are what a hand finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from panic_assets.studies.measures.attacks import pgd
from panic_assets.studies.measures.errors import MeasureError
from panic_assets.studies.measures.lipschitz import lipschitz
from panic_assets.studies.measures.readout import readout_of
from panic_assets.studies.measures.robustness import (
    Robust,
    accuracy_under,
    certified_accuracy,
    certified_radius,
    chosen_rows,
    ground,
    robust_area,
)
from panic_assets.studies.records import Dataset, Hyperparameters
from panic_assets.studies.retrieval import distinct_targets, retrieval_credit
from panic_assets.studies.spec_sections import Evaluation
from panic_assets_tests.studies.measures.make import blobs, linear, network, next_steps, part, trained

EPSILONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
FINE = Evaluation(epsilons={"l2": EPSILONS, "linf": (0.02, 0.1)}, pgd_restarts=2, noise_draws=4)
HYPERS = {
    "classes": Hyperparameters(layers=1, width=16),
    "residual": Hyperparameters(kind="residual", layers=1, width=8, activation="gelu"),
    "pictures": Hyperparameters(kind="cnn", layers=1, width=4),
    "vectors": Hyperparameters(layers=1, width=32),
}


@pytest.fixture(scope="module", params=list(HYPERS))
def case(request: pytest.FixtureRequest) -> tuple[nn.Sequential, Dataset]:
    data = {"vectors": next_steps, "pictures": lambda: blobs("digits", shape=(1, 4, 4))}.get(request.param, blobs)()
    outputs = len(data.classes) or data.train.y.shape[1]
    return trained(network(HYPERS[request.param], data.train.x.shape[1:], outputs), data), data


def test_the_certified_radius_never_exceeds_the_smallest_successful_attack(case: tuple[nn.Sequential, Dataset]) -> None:
    model, data = case
    rows = np.arange(len(data.test))
    on = ground(model, data, rows, lipschitz(model, data.test.x).upper)
    smallest = np.full(len(rows), np.inf)
    random = torch.Generator().manual_seed(0)
    for epsilon in np.geomspace(0.005, 4, 25):
        changed = pgd(on.target, on.x, "l2", float(epsilon), steps=15, restarts=2, generator=random)
        with torch.no_grad():
            turned = on.readout.credit(model(changed)) < 1
        # The attack may have stayed within less than it was allowed.
        moved = (changed - on.x).flatten(1).norm(dim=1).numpy()
        smallest[turned] = np.minimum(smallest[turned], moved[turned])
    assert (on.radius <= smallest + 1e-6).all()
    assert np.isfinite(smallest).mean() > 0.5
    assert (on.radius > 0).mean() > 0.1


def test_certified_accuracy_is_never_above_that_under_attack_and_curves_of_pgd_fall(
    case: tuple[nn.Sequential, Dataset],
) -> None:
    model, data = case
    on = ground(model, data, np.arange(len(data.test)), lipschitz(model, data.test.x).upper)
    found = {(row.attack, row.norm, row.epsilon): row for row in accuracy_under(on, FINE, seed=0)}
    clean = found["none", "none", 0.0].accuracy
    for epsilon in EPSILONS:
        assert found["certified", "l2", epsilon].accuracy <= found["pgd", "l2", epsilon].accuracy <= clean
        assert np.isnan(found["certified", "l2", epsilon].loss)
    curve = [found["pgd", "l2", epsilon].accuracy for epsilon in EPSILONS]
    assert curve == sorted(curve, reverse=True)
    assert curve[-1] < clean
    assert found["pgd", "l2", 0.64].accuracy <= found["noise", "l2", 0.64].accuracy
    assert {key[0] for key in found} == {"none", "fgsm", "pgd", "noise", "certified"}
    assert {row.rows for row in found.values()} == {len(data.test)}


def test_accuracy_without_a_change_is_that_of_the_task(case: tuple[nn.Sequential, Dataset]) -> None:
    model, data = case
    on = ground(model, data, np.arange(len(data.test)), 1.0)
    outputs = model(torch.as_tensor(data.test.x))
    if data.is_classification:
        expected = float((outputs.argmax(dim=1).numpy() == data.test.y).mean())
    else:
        expected = float(retrieval_credit(outputs.numpy(), *distinct_targets(data.test.y)).mean())
    clean = accuracy_under(on, FINE, seed=0)[0]
    assert (clean.attack, clean.norm, clean.epsilon, clean.accuracy) == ("none", "none", 0.0, expected)


def test_of_a_linear_network_of_two_classes_the_radius_is_the_distance_to_the_border() -> None:
    random = np.random.default_rng(0)
    direction, x = random.normal(size=5), random.normal(size=(40, 5))
    weight = np.stack([direction, -direction])  # its norm is root 2 times that of a row
    labels = (x @ direction < 0).astype(int)
    rows = part(x, labels)
    data = Dataset("network_identification", rows, rows, rows, ("a", "b"))
    model = linear(weight)
    radius = certified_radius(
        model, readout_of(data, np.arange(40)), torch.as_tensor(rows.x), lipschitz(model, rows.x).upper
    )
    assert radius == pytest.approx(np.abs(x @ direction) / np.linalg.norm(direction), rel=1e-5)


def test_of_targets_the_radius_is_the_distance_to_the_plane_between_them_and_no_less_than_the_simple_bound() -> None:
    targets = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    rows = part(np.array([[0.5, 1.0], [1.5, 0.2], [0.1, 1.6], [1.2, 0.0]]), targets[[0, 1, 2, 0]])
    data = Dataset("next_step", rows, rows, rows, ())
    radius = certified_radius(linear(np.eye(2)), readout_of(data, np.arange(4)), torch.as_tensor(rows.x), 1.0)
    assert radius == pytest.approx([0.5, 0.5, 0.1, 0.0], abs=1e-6)  # the last is nearer to another target
    apart = np.linalg.norm(rows.x[:, None] - targets[None], axis=2)
    own = apart[np.arange(4), [0, 1, 2, 0]]
    other = np.where(np.eye(3, dtype=bool)[[0, 1, 2, 0]], np.inf, apart).min(axis=1)
    assert (radius >= (other - own) / 2 - 1e-6).all()


def test_a_network_that_moves_nothing_is_certified_without_end_where_it_is_right() -> None:
    rows = part(np.ones((2, 3)), np.array([0, 1]))
    data = Dataset("network_identification", rows, rows, rows, ("a", "b"))
    model = linear(np.zeros((2, 3)), [1.0, 0.0])
    radius = certified_radius(model, readout_of(data, np.arange(2)), torch.as_tensor(rows.x), 0.0)
    assert radius.tolist() == [np.inf, 0.0]
    assert certified_accuracy(radius, 1e9) == 0.5


def test_targets_that_tie_give_a_share_and_no_certificate() -> None:
    near = np.array([[1.0, 0.0], [1.0, 1e-7]])
    rows = part(np.array([[1.0, 0.0], [1.0, 0.0]]), near)
    data = Dataset("next_step", rows, rows, rows, ())
    on = ground(linear(np.eye(2)), data, np.arange(2), 1.0)
    assert on.score(on.x)[0] == 0.5
    assert on.radius.tolist() == [0.0, 0.0]


def test_arms_of_a_pair_meet_the_same_noise() -> None:
    data = blobs()
    model = network(HYPERS["classes"], (5,), 3)
    on = ground(model, data, np.arange(80), 1.0)
    few = Evaluation(norms=("l2",), epsilons={"l2": (0.5,)}, attacks=("noise",))
    assert accuracy_under(on, few, seed=3)[1] == accuracy_under(on, few, seed=3)[1]
    assert accuracy_under(on, few, seed=3)[1] != accuracy_under(on, few, seed=4)[1]


def test_area_under_a_curve_by_hand() -> None:
    rows = [
        Robust("none", "none", 0.0, 1.0, 0.1, 9),
        Robust("pgd", "l2", 0.5, 0.6, 0.1, 9),
        Robust("pgd", "l2", 1.0, 0.2, 0.1, 9),
        Robust("pgd", "linf", 0.1, 0.0, 0.1, 9),
    ]
    assert robust_area(rows, "pgd", "l2") == pytest.approx((0.5 * 0.8 + 0.5 * 0.4) / 1.0)
    assert robust_area(rows, "pgd", "linf") == pytest.approx(0.5)
    assert np.isnan(robust_area(rows, "fgsm", "l2"))


def test_rows_are_spread_over_the_part_and_none_is_refused() -> None:
    rows = part(np.zeros((10, 2)), np.zeros(10))
    assert chosen_rows(rows, 4).tolist() == [0, 3, 6, 9]
    assert chosen_rows(rows, 99).tolist() == list(range(10))
    with pytest.raises(MeasureError, match=r"no rows.*data\.split"):
        chosen_rows(part(np.zeros((0, 2)), np.zeros(0)), 4)
