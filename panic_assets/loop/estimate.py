"""How long what is left will take, from what each model has taken so far.

Here belongs the estimate of a running experiment. An estimate before anything runs is the forecast's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping

from panic_assets.loop.state import RunState

_SECONDS_BETWEEN = 0.5  # it looks at every run, so not at each call


class Estimate:
    """Seconds left. ``known`` gives seconds for an invocation by model, for models that were not called yet."""

    def __init__(self, known: Mapping[str, float]) -> None:
        self._known = dict(known)
        self._spent: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._last, self._value = -_SECONDS_BETWEEN, None

    _value: float | None

    def note(self, model: str, seconds: float, invocations: int) -> None:
        """A call took so long and gave so many invocations."""
        self._spent[model] += seconds  # type: ignore[assignment]
        self._made[model] += invocations

    def seconds_left(self, states: Iterable[RunState], elapsed: float) -> float | None:
        """For all of ``states``, as ``elapsed`` seconds so far have shown how much goes on at once; None if unknown."""
        if time.monotonic() - self._last >= _SECONDS_BETWEEN:
            self._last, self._value = time.monotonic(), self._estimate(states, elapsed)
        return self._value

    def _estimate(self, states: Iterable[RunState], elapsed: float) -> float | None:
        left = invocations_left(states)
        each = {model: self._spent[model] / self._made[model] for model in left if self._made[model]}
        each = {model: self._known[model] for model in left if model in self._known} | each
        if not each or elapsed <= 0:
            return None
        # A model that nobody knows is taken to be like the mean of the others.
        usual = sum(each.values()) / len(each)
        seconds = sum(count * each.get(model, usual) for model, count in left.items())
        spent = sum(self._spent.values())
        return seconds * (elapsed / spent if spent else 1.0)


def invocations_left(states: Iterable[RunState]) -> Counter[str]:
    """Calls that runs would still need if none of them ended early, by model."""
    left: Counter[str] = Counter()
    for state in states:
        if state.stop_reason or state.cycle:
            continue
        models, first, last = state.plan.models, state.next, state.plan.max_length
        for place, model in enumerate(models):
            # How many numbers of first .. last - 1 are at this place of the ring.
            left[model] += (last - place - 1) // len(models) - (first - place - 1) // len(models)
    return left
