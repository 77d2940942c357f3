"""The study file: which trials are trained on what, as a validated object, and the folder of such files.

Here belongs reading YAML or JSON, what sections must agree on, and the hyperparameters of an arm. The sections are in
``spec_sections``. Which trials follow from a study belongs to ``plan``; what the lake holds, to ``data``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from panic_assets.errors import PanicError
from panic_assets.experiment import KEY_PATTERN
from panic_assets.files import NamedFiles, Wording
from panic_assets.studies.metrics import is_metric, metrics_of
from panic_assets.studies.records import Hyperparameters, Task, content_id
from panic_assets.studies.spec_problems import SpecError, sentence
from panic_assets.studies.spec_sections import (
    OF_SPECTRAL_NORM,
    Budget,
    Claim,
    Comparison,
    Data,
    Dimension,
    Evaluation,
    Own,
    Search,
    Section,
    Tracking,
    Written,
)
from panic_assets.written import named_values

_ARMS: dict[str, dict[str, Any]] = {
    "none": {},
    "spectral_norm": {"spectral_norm": True},
    "weight_decay": {"weight_decay": 0.01},
    "gradient_clipping": {"gradient_clip": 1.0},
    "dropout": {"dropout": 0.2},
}
_KEY_RULE = "must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit"


class UnknownStudy(PanicError):
    """No file holds a study of that name."""


class StudySpec(Section):
    """One study. Every arm is ``hyperparameters`` with the arm's own values in their places."""

    name: str
    description: str = ""
    task: Task
    data: Data = Data()
    hyperparameters: Written = Hyperparameters()
    arms: dict[str, Own] = Field(default=_ARMS, min_length=1)
    comparison: Comparison | None = Comparison()
    search: Search | None = None
    evaluation: Evaluation = Evaluation()
    claim: Claim | None = Claim()
    budget: Budget = Budget()
    tracking: Tracking = Tracking()

    @model_validator(mode="before")
    @classmethod
    def _mapping(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            raise ValueError("a study is a mapping of fields such as task, data, arms")
        return values

    @field_validator("name")
    @classmethod
    def _key(cls, name: str) -> str:
        if not KEY_PATTERN.fullmatch(name):
            raise ValueError(_KEY_RULE)
        return name

    @field_validator("arms", mode="before")
    @classmethod
    def _arms(cls, arms: Any) -> Any:
        """An arm with nothing behind its colon is the one that changes nothing."""
        return {name: {} if own is None else own for name, own in arms.items()} if isinstance(arms, Mapping) else arms

    @classmethod
    def load(cls, path: Path | str) -> StudySpec:
        """Read a YAML or JSON file; the file's stem is the name unless the file gives one.

        Raises:
            SpecError: the file is missing, is not YAML or JSON, or a field is wrong; all problems are named.
        """
        return cls.parse(named_values(Path(path), SpecError), where=str(path))

    @classmethod
    def parse(cls, values: object, where: str = "study") -> StudySpec:
        """Validate plain values; ``where`` names their origin in errors.

        Raises:
            SpecError: with one sentence for each problem.
        """
        try:
            spec = cls.model_validate(values)
        except ValidationError as error:
            raise SpecError(where, [sentence(e, cls) for e in error.errors()]) from error
        problems = list(spec._disagreements())
        if problems:
            raise SpecError(where, problems)
        return spec

    def canonical(self) -> dict[str, Any]:
        """The study as plain JSON values with all defaults; an arm has only the values that are its own."""
        return self.model_dump(mode="json")

    @property
    def spec_id(self) -> str:
        """blake2b-128 of the canonical form, as 32 hexadecimal digits."""
        return content_id(self.canonical())

    def hyperparameters_of(self, arm: str, base: Hyperparameters | None = None) -> Hyperparameters:
        """``base`` (those of the study, unless given) with the arm's own values in their places."""
        return replace(base or self.hyperparameters, **self.arms[arm])

    def space_of(self, arm: str) -> dict[str, Dimension]:
        """What is searched in an arm: not what the arm itself sets, and not what has no effect in it."""
        if self.search is None:
            return {}
        without = set(self.arms[arm])
        if not self.hyperparameters_of(arm).spectral_norm:
            without |= OF_SPECTRAL_NORM
        return {name: dimension for name, dimension in self.search.space.items() if name not in without}

    def _disagreements(self) -> Iterable[str]:
        yield from self._problems_of_data()
        yield from self._problems_of_arms()
        if self.search is None and self.comparison is None:
            yield "comparison, search: both are null, so nothing would be trained; give one of them"
        if self.comparison:
            yield from self._problems_of_comparison(self.comparison)

    def _problems_of_data(self) -> Iterable[str]:
        if self.task == "digits":
            if self.data.experiments:
                yield "data.experiments: digits come with scikit-learn, not from the lake; remove the experiments"
            return
        if not self.data.experiments:
            yield f"data.experiments: is empty; name the experiments that {self.task} learns from"
        if not self.data.embedding_model:
            yield "data.embedding_model: is missing; name one of the experiments' embedding_models"
        for name in sorted({e for e in self.data.experiments if self.data.experiments.count(e) > 1}):
            yield f"data.experiments: {name!r} is there more than once; remove the repeats"
        kinds = {"hyperparameters": self.hyperparameters.kind} | {
            f"arms.{name}": own["kind"] for name, own in self.arms.items() if "kind" in own
        }
        for where, kind in kinds.items():
            if kind == "cnn":
                yield f"{where}.kind: cnn takes pictures; {self.task} has vectors, use mlp or residual"
        if self.search and "cnn" in (self.search.space.get("kind", Dimension(choices=("mlp",))).choices or ()):
            yield f"search.space.kind: cnn takes pictures; {self.task} has vectors, use mlp or residual"

    def _problems_of_arms(self) -> Iterable[str]:
        for name in self.arms:
            if not KEY_PATTERN.fullmatch(name):
                yield f"arms: {name!r} {_KEY_RULE}"
        same: dict[Hyperparameters, str] = {}
        for name in self.arms:
            first = same.setdefault(self.hyperparameters_of(name), name)
            if first != name:
                yield f"arms.{name}: is the same as arms.{first}; change or remove one of them"

    def _problems_of_comparison(self, comparison: Comparison) -> Iterable[str]:
        arms = ", ".join(self.arms)
        if len(self.arms) < 2:
            yield f"arms: {arms} alone can't be compared; give another arm, or write comparison: null"
        if comparison.reference not in self.arms:
            yield f"comparison.reference: there is no arm {comparison.reference!r}; the arms are {arms}"
        if comparison.hyperparameters == "searched" and self.search is None:
            yield "comparison.hyperparameters: searched needs a search section; write one, or fixed"
        if self.claim is None:
            return
        if self.claim.arm not in self.arms:
            yield f"claim.arm: there is no arm {self.claim.arm!r}; use one of {arms}, or write claim: null"
        elif self.claim.arm == comparison.reference:
            yield f"claim.arm: {self.claim.arm} is the reference itself; name another arm"
        if not is_metric(self.claim.metric, self.task):
            names = [*metrics_of(self.task), "robust_area_pgd_l2"]
            near = get_close_matches(self.claim.metric, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"use one of {', '.join(names)}"
            yield f"claim.metric: {self.task} has no measure {self.claim.metric!r}; {hint}"


class StudyFiles(NamedFiles[StudySpec]):
    """The study files of one folder, which need not exist."""

    wording = Wording("study", "panic study run FILE")
    wrong, unknown = SpecError, UnknownStudy
    load = staticmethod(StudySpec.load)

    def study(self, name: str) -> StudySpec:
        """The study of that name.

        Raises:
            SpecError: its file is wrong.
            UnknownStudy: there is no such file.
        """
        return self.named(name)
