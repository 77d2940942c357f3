"""Which trials a study consists of.

Here belongs the expansion of a study into trials, and nothing that trains them. What a search tries next is found out
while it goes on, in ``search``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from panic_assets.studies.records import Hyperparameters, Trial, content_id

if TYPE_CHECKING:
    from panic_assets.studies.spec import StudySpec

#: Seeds of searches begin here, so that no trial of a comparison repeats the luck of the search that chose for it.
FIRST_SEARCH_SEED = 1_000_000


def plan(spec: StudySpec, data_id: str, searched: Mapping[str, Hyperparameters] | None = None) -> list[Trial]:
    """The trials of the paired comparison, none if the study has no comparison.

    All arms of a pair follow one another, so that what a budget leaves undone is whole pairs. Within a pair the split,
    the seed and the hyperparameters are the same but for the arm's own.

    Args:
        spec: the study.
        data_id: of the data and their split.
        searched: by arm, the hyperparameters that its search found best, for a comparison of searched ones; an arm
            without trains with those of the study.
    """
    if spec.comparison is None:
        return []
    found = (searched or {}) if spec.comparison.hyperparameters == "searched" else {}
    return [
        Trial(
            study=spec.name,
            mode="comparison",
            arm=arm,
            pair=pair,
            seed=seed,
            task=spec.task,
            data_id=data_id,
            hyperparameters=found.get(arm) or spec.hyperparameters_of(arm),
        )
        for pair, seed in enumerate(spec.comparison.pair_seeds)
        for arm in spec.arms
    ]


def count(spec: StudySpec) -> int:
    """How many trials a study asks for: the searches of all arms, and the comparison."""
    pairs = len(spec.comparison.pair_seeds) if spec.comparison else 0
    return len(spec.arms) * ((spec.search.trials if spec.search else 0) + pairs)


def model_run_id(spec: StudySpec, data_id: str) -> str:
    """Identity of a study on some data, by all that decides which trials there are.

    What is measured and claimed of them is left out: it may be changed without another model run.
    """
    settings = spec.canonical()
    shaping = ("task", "hyperparameters", "arms", "comparison", "search")
    return f"{spec.name}-{content_id([data_id, {name: settings[name] for name in shaping}])[:12]}"
