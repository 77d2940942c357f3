"""What is known of measures of trials beside their values: which way is better, which are ratios, what to call them.

Here belong properties by name. The names themselves are in ``metrics``.
"""

from __future__ import annotations

from typing import Literal

Side = Literal["higher", "lower"]

_HIGHER = ("accuracy", "cosine", "settled", "certified_radius_median")
_LOWER = (
    "loss", "nll", "brier", "ece", "gap", "seconds", "memory_mb", "lipschitz_upper", "lipschitz_lower"
)  # fmt: skip
#: Costs and constants that arms multiply rather than shift.
_RATIOS = frozenset({"seconds", "step_seconds", "peak_memory_mb", "lipschitz_upper", "lipschitz_lower"})
_WORDS = {
    "ece": "expected calibration error",
    "ece_equal_mass": "expected calibration error (bins of equal mass)",
    "brier": "Brier score",
    "nll": "log loss",
    "seconds": "training time",
    "step_seconds": "time per step",
    "peak_memory_mb": "peak memory",
    "lipschitz_upper": "upper Lipschitz bound",
    "lipschitz_lower": "lower Lipschitz bound",
    "certified_radius_median": "median certified radius",
    "rollout_settled": "share of roll-outs that settle",
    "rollout_cosine": "cosine at the end of the roll-out",
    "accuracy_gap": "gap in accuracy between training and test",
    "generalisation_gap": "gap in loss between test and training",
    "test_accuracy_unseen": "test accuracy on unseen inputs",
}
_ATTACKS = {"fgsm": "FGSM", "pgd": "PGD", "noise": "noise"}
_NORMS = {"l2": "l2", "linf": "l-infinity"}


def better(metric: str) -> Side | None:
    """Which way a measure is better; None where neither is.

    A Lipschitz bound is a constraint's aim, so that less of it counts as better.
    """
    if metric.startswith("robust_area_"):
        return "higher"
    # Of "accuracy_gap" the gap decides.
    if metric.endswith(_LOWER) or metric == "ece_equal_mass":
        return "lower"
    return "higher" if metric.endswith(_HIGHER) or metric == "test_accuracy_unseen" else None


def is_ratio(metric: str) -> bool:
    """Whether two values of a measure are best compared by their quotient."""
    return metric in _RATIOS


def words(metric: str) -> str:
    """A measure's name as a person would say it."""
    if metric.startswith("robust_area_"):
        attack, _, norm = metric.removeprefix("robust_area_").partition("_")
        return f"mean accuracy under {_ATTACKS.get(attack, attack)} ({_NORMS.get(norm, norm)})"
    return _WORDS.get(metric, metric.replace("_", " "))


def arm_words(arm: str) -> str:
    """An arm's name as a person would say it."""
    return {"none": "no constraint", "spectral_norm": "spectral normalisation"}.get(arm, arm.replace("_", " "))
