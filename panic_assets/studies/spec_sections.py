"""Sections of a study file: data, search, comparison, evaluation, claim, budget, as validated values.

Here belongs what can be said of one section alone. What sections must agree on is in ``spec``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from panic_assets.studies.records import Hyperparameters, Kind

Activation = Literal["relu", "tanh", "gelu", "silu"]
Norm = Literal["l2", "linf"]
Attack = Literal["fgsm", "pgd", "noise"]
_DEFAULTS = Hyperparameters()
#: They do nothing unless ``spectral_norm`` is set.
OF_SPECTRAL_NORM = frozenset({"coefficient", "power_iterations"})
NOT_SEARCHED = (
    "spectral_norm can't be searched: the sampler would try the better arm more often and tune it better, and the "
    "comparison would say nothing; make it an arm (arms: {spectral_norm: {spectral_norm: true}})"
)

Real = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the file: unknown fields are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HyperValues(Section):
    """Hyperparameters as written, with their limits; those that are not written have the record's defaults."""

    kind: Kind = _DEFAULTS.kind
    layers: StrictInt = Field(default=_DEFAULTS.layers, ge=0, le=32)
    width: StrictInt = Field(default=_DEFAULTS.width, ge=1, le=2048)
    activation: Activation = "relu"
    learning_rate: Real = Field(default=_DEFAULTS.learning_rate, gt=0, le=10)
    weight_decay: Real = Field(default=_DEFAULTS.weight_decay, ge=0, le=100)
    dropout: Real = Field(default=_DEFAULTS.dropout, ge=0, lt=1)
    gradient_clip: Real | None = Field(default=_DEFAULTS.gradient_clip, gt=0)
    spectral_norm: StrictBool = _DEFAULTS.spectral_norm
    coefficient: Real = Field(default=_DEFAULTS.coefficient, gt=0, le=100)
    power_iterations: StrictInt = Field(default=_DEFAULTS.power_iterations, ge=1, le=100)
    epochs: StrictInt = Field(default=_DEFAULTS.epochs, ge=1, le=10_000)
    batch_size: StrictInt = Field(default=_DEFAULTS.batch_size, ge=1, le=65_536)


def _given(values: HyperValues) -> dict[str, Any]:
    return values.model_dump(exclude_unset=True)


def _record(values: HyperValues) -> Hyperparameters:
    return Hyperparameters(**values.model_dump())


if TYPE_CHECKING:
    Written = Hyperparameters
    Own = dict[str, Any]
else:
    # Checked as HyperValues, kept as what the other parts of the room work with.
    Written = Annotated[HyperValues, AfterValidator(_record), PlainSerializer(asdict)]
    Own = Annotated[HyperValues, AfterValidator(_given), PlainSerializer(dict)]


class Split(Section):
    """Shares of the runs in each part, and the seed of the dealing."""

    train: Real = Field(default=0.6, gt=0, lt=1)
    validation: Real = Field(default=0.2, gt=0, lt=1)
    test: Real = Field(default=0.2, gt=0, lt=1)
    seed: StrictInt = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _whole(self) -> Split:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test add up to {total:g}; they must add up to 1")
        return self


class Data(Section):
    """Which vectors of the lake are learnt from. No networks means all; ``horizon`` counts steps within a modality."""

    experiments: tuple[str, ...] = ()
    embedding_model: str = ""
    modality: Literal["text", "image"] = "text"
    networks: tuple[str, ...] = ()
    horizon: StrictInt = Field(default=1, ge=1, le=1000)
    split: Split = Split()
    most_rows: StrictInt | None = Field(default=None, ge=3)


class Dimension(Section):
    """What one hyperparameter may be in a search: from ``low`` to ``high``, or one of ``choices``."""

    low: int | Real | None = None
    high: int | Real | None = None
    log: StrictBool = False
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Dimension:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("has choices beside low, high or log; keep one of the two forms")
            if not self.choices:
                raise ValueError("choices: is empty; give at least one")
        elif self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        elif not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        elif self.log and self.low <= 0:
            raise ValueError(f"log: needs a low above 0, not {self.low}")
        return self

    @property
    def ends(self) -> tuple[float, float] | None:
        """(low, high), both int for a whole number; None where there are choices."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class Search(Section):
    """Optuna's search within each arm; ``trials`` of every arm, so that no arm is tuned better than another."""

    trials: StrictInt = Field(default=12, ge=1, le=10_000)
    pruner: Literal["median", "none"] = "median"
    startup_trials: StrictInt = Field(default=4, ge=0)
    seed: StrictInt = Field(default=0, ge=0, lt=2**32)
    metric: Literal["validation_loss", "validation_accuracy", "train_loss"] = "validation_loss"
    direction: Literal["minimize", "maximize"] = "minimize"
    space: dict[str, Dimension] = Field(min_length=1)

    @field_validator("space")
    @classmethod
    def _within_limits(cls, space: dict[str, Dimension]) -> dict[str, Dimension]:
        return {name: _checked(name, dimension) for name, dimension in space.items()}

    @model_validator(mode="after")
    def _towards_the_better(self) -> Search:
        better = "maximize" if self.metric.endswith("accuracy") else "minimize"
        if self.direction != better:
            raise ValueError(f"direction: {self.metric} is better when it is {better[:-2]}ized; write {better}")
        return self


def _checked(name: str, dimension: Dimension) -> Dimension:
    """The dimension with its values as the field has them: whole numbers whole, numbers in quotes as numbers."""
    if name == "spectral_norm":
        raise ValueError(NOT_SEARCHED)
    if name not in HyperValues.model_fields:
        raise ValueError(f"{name} is no hyperparameter; use some of {', '.join(HyperValues.model_fields)}")
    is_choice = dimension.choices is not None
    values = dimension.choices if dimension.choices is not None else (dimension.low, dimension.high)
    try:
        sound = [getattr(HyperValues.model_validate({name: value}), name) for value in values]
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ValueError(f"{name}: {wrong['input']!r}: {wrong['msg'].replace('Input should', 'must')}") from error
    if is_choice:
        return Dimension(choices=tuple(sound))
    if any(isinstance(value, str | bool) for value in sound):
        raise ValueError(f"{name}: has no range from low to high; give choices")
    return Dimension(low=sound[0], high=sound[1], log=dimension.log)


class Comparison(Section):
    """Paired trials: every arm with each seed. Without ``seeds``, they are 0 to ``pairs`` - 1."""

    reference: str = "none"
    pairs: StrictInt = Field(default=10, ge=2, le=1000)
    seeds: tuple[Annotated[StrictInt, Field(ge=0, lt=2**63)], ...] = ()
    hyperparameters: Literal["fixed", "searched"] = "fixed"

    @model_validator(mode="before")
    @classmethod
    def _pairs_of_seeds(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("seeds") and "pairs" not in values:
            return {**values, "pairs": len(values["seeds"])} if isinstance(values["seeds"], list | tuple) else values
        return values

    @model_validator(mode="after")
    def _one_of_both(self) -> Comparison:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: has repeats; equal seeds make equal trials, which are no evidence twice")
        if self.seeds and len(self.seeds) != self.pairs:
            raise ValueError(f"there are {len(self.seeds)} seeds but {self.pairs} pairs; keep one of the two")
        return self

    @property
    def pair_seeds(self) -> tuple[int, ...]:
        """The seed of each pair, by the number of the pair."""
        return self.seeds or tuple(range(self.pairs))


class Evaluation(Section):
    """How robustness and roll-outs are measured, on at most ``most_rows`` rows of the test part."""

    norms: tuple[Norm, ...] = ("l2", "linf")
    epsilons: dict[Norm, tuple[Annotated[Real, Field(ge=0)], ...]] = {
        "l2": (0.05, 0.1, 0.2, 0.4, 0.8),
        "linf": (0.005, 0.01, 0.02, 0.05, 0.1),
    }
    attacks: tuple[Attack, ...] = ("fgsm", "pgd", "noise")
    pgd_steps: StrictInt = Field(default=20, ge=1, le=1000)
    pgd_restarts: StrictInt = Field(default=1, ge=1, le=100)
    noise_draws: StrictInt = Field(default=8, ge=1, le=1000)
    most_rows: StrictInt = Field(default=512, ge=1)
    horizon: StrictInt = Field(default=20, ge=1, le=10_000)

    @model_validator(mode="after")
    def _rising(self) -> Evaluation:
        for norm in self.norms:
            values = self.epsilons.get(norm, ())
            if not values or list(values) != sorted(set(values)):
                raise ValueError(f"epsilons.{norm}: must be rising numbers, at least one, as {norm} is in norms")
        return self


class Claim(Section):
    """What is expected, written down before anything is trained: ``arm`` against the comparison's reference."""

    metric: str = "test_accuracy"
    arm: str = "spectral_norm"
    direction: Literal["higher", "lower", "different"] = "higher"
    confidence: Real = Field(default=0.95, gt=0.5, lt=1)


class Budget(Section):
    """Limits of time in seconds, of the whole study and of one trial; null for none."""

    seconds: Real | None = Field(default=None, gt=0)
    seconds_per_trial: Real | None = Field(default=None, gt=0)


class Tracking(Section):
    """Where trials are logged beside the platform's own events."""

    mlflow: StrictBool = True
