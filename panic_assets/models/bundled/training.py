"""The loop that trains every bundled model: a step count, a schedule, an average, a checkpoint.

Here belongs what the recipes share. A recipe gives parameters and a loss; the data of step ``i`` come from a generator
seeded by (seed, i), so that a training that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Schedule:
    """Warm-up, a constant rate, then a decay to 2 % over the last ``decay`` share of ``steps`` (cosine if 1)."""

    steps: int
    rate: float
    warmup: int = 200
    decay: float = 1.0

    def at(self, step: int) -> float:
        """Learning rate of a 0-based step."""
        progress = max(0.0, (step / self.steps - (1 - self.decay)) / self.decay)
        return (
            self.rate * min(1.0, (step + 1) / self.warmup) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * progress)))
        )


class Average:
    """Exponential moving average of parameters; :meth:`swap` exchanges it with the live values."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.shadow = [p.detach().clone() for p in self.parameters]

    def update(self, step: int) -> None:
        """Move towards the live values; early steps count more, so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_mul_(self.shadow, decay)
        torch._foreach_add_(self.shadow, [p.detach() for p in self.parameters], alpha=1 - decay)

    def swap(self) -> None:
        """Exchange averaged and live values in place."""
        for live, shadow in zip(self.parameters, self.shadow, strict=True):
            kept = live.data.clone()
            live.data.copy_(shadow)
            shadow.copy_(kept)


def train(
    name: str,
    module: torch.nn.Module,
    loss_of: Callable[[torch.Generator], torch.Tensor],
    schedule: Schedule,
    seed: int,
    work: Path,
    *,
    average: float | None = None,
    weight_decay: float = 0.01,
    report: Callable[[], dict[str, float]] | None = None,
    every: int = 100,
) -> None:
    """Train ``module`` in place; its averaged weights are left in it if ``average`` is given.

    A checkpoint in ``work`` after every ``every`` steps lets the same call go on where a killed one stopped.
    ``report`` is called then, with averaged weights in place, and what it returns is logged beside the mean loss.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, schedule.rate, betas=(0.9, 0.99), weight_decay=weight_decay)
    shadow = Average(parameters, average) if average else None
    work.mkdir(parents=True, exist_ok=True)
    checkpoint, step = work / f"{name}.checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        step = saved["step"]
        module.load_state_dict(saved["module"])
        optimiser.load_state_dict(saved["optimiser"])
        if shadow:
            shadow.shadow = saved["shadow"]
    losses, started = [], time.perf_counter()
    while step < schedule.steps:
        for group in optimiser.param_groups:
            group["lr"] = schedule.at(step)
        loss = loss_of(torch.Generator().manual_seed(seed * 1_000_003 + step))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        losses.append(loss.item())
        if shadow:
            shadow.update(step)
        step += 1
        if step % every == 0 or step == schedule.steps:
            entry = {"step": step, "loss": sum(losses) / len(losses)}
            entry["seconds_a_step"] = (time.perf_counter() - started) / len(losses)
            if shadow:
                shadow.swap()
            if report:
                module.eval()
                entry |= report()
                module.train()
            if shadow:
                shadow.swap()
            _log(work / f"{name}.log", name, entry)
            _save(checkpoint, step, module, optimiser, shadow)
            losses, started = [], time.perf_counter()
    if shadow:
        shadow.swap()


def _save(
    path: Path, step: int, module: torch.nn.Module, optimiser: torch.optim.Optimizer, shadow: Average | None
) -> None:
    state = {"step": step, "module": module.state_dict(), "optimiser": optimiser.state_dict()}
    if shadow:
        state["shadow"] = shadow.shadow
    aside = path.with_suffix(".writing")
    torch.save(state, aside)
    aside.replace(path)


def _log(path: Path, name: str, entry: dict[str, float]) -> None:
    rounded = {key: round(value, 5) for key, value in entry.items()}
    print(name, rounded, flush=True)
    with path.open("a") as lines:
        lines.write(json.dumps(rounded) + "\n")
