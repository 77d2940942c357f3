"""What makes a list of models a ring that can run.

Here belongs the rule of the chain. A network may be stored while it breaks the rule (a draft); it just can't be run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from panic_assets.errors import PanicError
from panic_assets.live.platforms.base import LiveModel


class NotRunnable(PanicError):
    """A ring that can't run; ``problems`` has every reason, in the order of the ring."""

    def __init__(self, network: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"network {network!r} can't run: {'; '.join(problems)}")


def check_ring(models: Sequence[str], catalog: Mapping[str, LiveModel]) -> list[str]:
    """Everything that keeps ``models`` from running as a ring, in the order of the ring; empty when it can run.

    A prompt is text, so the first model takes text; each model takes what the one before it gives; the first takes
    what the last gives. A link to an unknown model is not judged: the unknown id is problem enough. Deprecated models
    are as good as others.
    """
    unknown = list(dict.fromkeys(model for model in models if model not in catalog))
    problems = [f"there is no model {model!r}" for model in unknown]
    if not models:
        return ["it has no models; add at least one"]
    ring = [catalog.get(model) for model in models]
    first = ring[0]
    if first is not None and first.takes != "text":
        problems.append(f"model 1 ({first.id}) takes {first.takes}, but a prompt is text")
    for place, (giver, taker) in enumerate(pairwise(ring), 1):
        if giver is not None and taker is not None and giver.gives != taker.takes:
            problems.append(
                f"model {place} ({giver.id}) gives {giver.gives}, "
                f"but model {place + 1} ({taker.id}) takes {taker.takes}"
            )
    last = ring[-1]
    if first is not None and last is not None and last.gives != first.takes:
        problems.append(
            f"the last model ({last.id}) gives {last.gives}, but the ring goes on to model 1 ({first.id}), "
            f"which takes {first.takes}"
        )
    return problems


def require_runnable(network: str, models: Sequence[str], catalog: Mapping[str, LiveModel]) -> None:
    """Do nothing if the ring of the network of that name can run.

    Raises:
        NotRunnable: it can't; the error has all problems.
    """
    problems = check_ring(models, catalog)
    if problems:
        raise NotRunnable(network, problems)
