"""The training of one trial, from first weights to final measures of what it learnt.

Here belongs the loop. Models are in ``models``, bounds on weights in ``constraints``, losses in ``scoring``. What
becomes of a trial elsewhere (events, files, robustness) is the caller's, who is told of each epoch.

It is done on the CPU. Equal trials on equal data give equal weights: one thread computes, and first weights, batches
and dropout each have a stream of random numbers of their own, which follow from the trial's seed. The order of batches
and the first weights are the same in all arms of a pair. One training at a time in a process, as torch's number of
threads and its global stream are the process's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from panic_assets.studies.leakage import unseen
from panic_assets.studies.records import Dataset, Epoch, Hyperparameters, State, Trial
from panic_assets.studies.training.constraints import constrain, fold, layer_sigmas
from panic_assets.studies.training.cost import KeptBytes, StepTimes
from panic_assets.studies.training.models import build, stream
from panic_assets.studies.training.scoring import Scored, loss_of

ErrorType = Literal["nan_loss", "OOM", "timeout"]
OnEpoch = Callable[[Epoch], None]
ShouldStop = Callable[[Epoch], State | None]

_PARTS = ("train", "validation", "test")
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


@dataclass(frozen=True)
class Trained:
    """What became of a trial.

    ``model`` has plain weights and is in eval mode; None where there was not the memory to build it.
    ``error_type`` and ``error`` say why it did not complete; both are None of one that was cancelled. ``metrics`` are
    finite: of a model that diverged there are those of its cost alone.
    """

    model: nn.Sequential | None
    epochs: tuple[Epoch, ...]
    state: State
    error_type: ErrorType | None
    error: str | None
    seconds: float
    step_seconds: float
    peak_memory_bytes: int
    metrics: dict[str, float]


def train(
    trial: Trial,
    data: Dataset,
    on_epoch: OnEpoch = lambda epoch: None,
    should_stop: ShouldStop = lambda epoch: None,
    *,
    seconds: float | None = None,
) -> Trained:
    """Train the model of a trial for all its epochs, and measure what it learnt.

    By AdamW, in all arms with a learning rate that falls from the trial's to zero along half a cosine. The last
    epoch's weights count, not the best epoch's: choosing an epoch would be a second, unequal training.

    Args:
        trial: what is to be done.
        data: with the classes, or the vectors, that are to be predicted.
        on_epoch: is told of each epoch as it ends, also of one in which the loss was no longer finite.
        should_stop: is asked after it; a state ends the trial in that state.
        seconds: after so many the trial is ``timed_out``, looked at after each step.

    Returns:
        What became of it. A loss that is not finite, a lack of memory and a time-out are told, not raised; what
        ``on_epoch`` and ``should_stop`` raise passes through.
    """
    run = _Run(trial, data, math.inf if seconds is None else seconds)
    with _alone(trial.seed):
        try:
            run.prepare()
            run.fit(on_epoch, should_stop)
        except (MemoryError, RuntimeError) as error:
            if not _is_memory(error):
                raise
            run.end("failed", "OOM", f"{error}; lower width ({trial.hyperparameters.width}) or batch_size")
        return run.trained()


class _Run:
    def __init__(self, trial: Trial, data: Dataset, seconds: float) -> None:
        self._hyper, self._seed, self._data = trial.hyperparameters, trial.seed, data
        self._began = time.perf_counter()
        self._deadline = self._began + seconds
        self._state: State = "running"
        self._error: tuple[ErrorType | None, str | None] = (None, None)
        self._epochs: list[Epoch] = []
        self._times = StepTimes()
        self._bytes = 0
        self._steps = 0
        self._model: nn.Sequential | None = None

    def prepare(self) -> None:
        parts = (self._data.train, self._data.validation, self._data.test)
        self._parts = {name: Scored(part) for name, part in zip(_PARTS, parts, strict=True)}
        outputs = len(self._data.classes) or self._data.train.y.shape[1]
        model = build(self._hyper, self._data.train.x.shape[1:], outputs, self._seed)
        constrain(model, self._hyper)
        self._model = model
        self._optimiser = _optimiser(model, self._hyper)
        self._batches = stream(self._seed, "batches")

    def end(self, state: State, error_type: ErrorType | None = None, error: str | None = None) -> None:
        self._state, self._error = state, (error_type, error)

    def fit(self, on_epoch: OnEpoch, should_stop: ShouldStop) -> None:
        for number in range(1, self._hyper.epochs + 1):
            began = time.perf_counter()
            self._pass(number)
            if self._state == "timed_out":
                return
            metrics = self._look()
            epoch = Epoch(number, time.perf_counter() - began, metrics, layer_sigmas(self._sound_model))
            self._epochs.append(epoch)
            is_finite = all(map(math.isfinite, metrics.values()))
            if self._state == "running" and not is_finite:
                self.end("failed", "nan_loss", f"the loss was not finite after epoch {number}; {self._remedy}")
            on_epoch(epoch)
            if self._state == "running" and (wanted := should_stop(epoch)):
                is_late = wanted == "timed_out"
                self.end(wanted, "timeout" if is_late else None, f"stopped at epoch {number}" if is_late else None)
            if self._state != "running":
                return
        self.end("completed")

    def _pass(self, number: int) -> None:
        """All batches once; ends the trial at a loss that is not finite, and when time is up."""
        part, size = self._parts["train"], self._hyper.batch_size
        order = torch.randperm(len(part.x), generator=self._batches)
        shuffled = zip(part.x[order].split(size), part.y[order].split(size), strict=True)
        for step, (x, y) in enumerate(shuffled, start=1):
            self._slow_down()
            with self._times.step():
                loss = self._step(x, y)
            if not math.isfinite(loss):
                what = f"the loss was {loss} at epoch {number}, step {step}"
                return self.end("failed", "nan_loss", f"{what}; {self._remedy}")
            if time.perf_counter() > self._deadline:
                allowed = self._deadline - self._began
                return self.end("timed_out", "timeout", f"{allowed:g} seconds were over in epoch {number}")

    def _step(self, x: torch.Tensor, y: torch.Tensor) -> float:
        model = self._sound_model
        self._optimiser.zero_grad(set_to_none=True)
        if self._bytes:
            loss = loss_of(model(x), y)
        else:
            with KeptBytes() as kept:
                loss = loss_of(model(x), y)
        loss.backward()
        if self._hyper.gradient_clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self._hyper.gradient_clip)
        self._optimiser.step()
        if not self._bytes:
            self._bytes = kept.with_state(model, self._optimiser)
        return loss.item()

    def _slow_down(self) -> None:
        """The learning rate falls to zero along half a cosine.

        So does the distance by which the estimate of a singular value lags behind weights that move: without it, making
        the bound exact at the end would change what was learnt.
        """
        share = self._steps / (self._hyper.epochs * math.ceil(len(self._data.train) / self._hyper.batch_size))
        for group in self._optimiser.param_groups:
            group["lr"] = self._hyper.learning_rate * (1 + math.cos(math.pi * share)) / 2
        self._steps += 1

    def _look(self) -> dict[str, float]:
        model = self._sound_model
        score = self._parts["validation"].score(model)
        metrics = {
            "train_loss": self._parts["train"].loss(model),
            "validation_loss": score.loss,
            "validation_accuracy": score.accuracy,
        }
        return metrics if score.cosine is None else metrics | {"validation_cosine": score.cosine}

    @property
    def _sound_model(self) -> nn.Sequential:
        assert self._model is not None, "prepare() comes first"
        return self._model

    @property
    def _remedy(self) -> str:
        return f"lower learning_rate ({self._hyper.learning_rate:g}) or set gradient_clip"

    def trained(self) -> Trained:
        metrics: dict[str, float] = {}
        if self._model is not None:
            fold(self._model, self._hyper)
            if self._state != "failed":
                metrics = self._final(self._model)
        seconds = time.perf_counter() - self._began
        costs = {
            "seconds": seconds,
            "step_seconds": self._times.median,
            "peak_memory_mb": self._bytes / 1e6,
            "epochs": float(len(self._epochs)),
        }
        return Trained(
            model=self._model,
            epochs=tuple(self._epochs),
            state=self._state,
            error_type=self._error[0],
            error=self._error[1],
            seconds=seconds,
            step_seconds=self._times.median,
            peak_memory_bytes=self._bytes,
            metrics={name: value for name, value in (metrics | costs).items() if math.isfinite(value)},
        )

    def _final(self, model: nn.Sequential) -> dict[str, float]:
        scores = {name: part.score(model) for name, part in self._parts.items()}
        metrics = {f"{name}_loss": score.loss for name, score in scores.items()}
        metrics |= {f"{name}_accuracy": score.accuracy for name, score in scores.items()}
        metrics |= {f"{name}_cosine": score.cosine for name, score in scores.items() if score.cosine is not None}
        is_new = unseen(self._data.test, self._data.train)
        if is_new.any():
            metrics["test_accuracy_unseen"] = float(np.mean(scores["test"].credit[is_new]))
        return metrics | {
            "generalisation_gap": scores["test"].loss - scores["train"].loss,
            "accuracy_gap": scores["train"].accuracy - scores["test"].accuracy,
        }


def _optimiser(model: nn.Sequential, hyper: Hyperparameters) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); matrices and kernels decay, biases don't."""
    biases = [parameter for name, parameter in model.named_parameters() if name.endswith("bias")]
    weights = [parameter for name, parameter in model.named_parameters() if not name.endswith("bias")]
    groups = [{"params": weights, "weight_decay": hyper.weight_decay}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=hyper.learning_rate, fused=True)


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """One thread, and torch's global stream begun from the seed; both are given back as they were."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "dropout").initial_seed())
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)
