"""Names of the measures of a trial: what a claim may be about, and for which tasks each exists.

Here belong names alone. They are computed in ``training`` and ``measures``.
"""

from __future__ import annotations

import re

from panic_assets.studies.records import Task

#: Of every task.
GENERAL = (
    "train_loss",
    "validation_loss",
    "test_loss",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
    "test_accuracy_unseen",
    "generalisation_gap",
    "accuracy_gap",
    "seconds",
    "step_seconds",
    "peak_memory_mb",
    "epochs",
    "lipschitz_upper",
    "lipschitz_lower",
    "certified_radius_median",
)
#: Of classes, and of the prediction of vectors.
OF_CLASSES = ("ece", "ece_equal_mass", "brier", "nll")
OF_VECTORS = ("train_cosine", "validation_cosine", "test_cosine", "rollout_settled", "rollout_cosine")
_ROBUST_AREA = re.compile(r"robust_area_(fgsm|pgd|noise)_(l2|linf)")


def metrics_of(task: Task) -> tuple[str, ...]:
    """Names that a finished trial of the task has, but for those that end in an attack and a norm."""
    return GENERAL + (OF_VECTORS if task == "next_step" else OF_CLASSES)


def is_metric(name: str, task: Task) -> bool:
    """Whether a finished trial of the task has a measure of this name."""
    return name in metrics_of(task) or _ROBUST_AREA.fullmatch(name) is not None
