"""What a call of a model costs, as data: seconds for a call, for each item, for a load, and where the numbers are from.

Here belong the three sources, best first: what was measured here (``devices.known``), what somebody published (the
registry's ``timings``), and a stated guess. What follows from the costs of a whole experiment belongs to ``forecast``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from panic_assets.devices.known import KnownFacts
from panic_assets.models.entry import ModelEntry, Timing

Origin = Literal["measured", "published", "guess"]

#: Seconds for one output of a model that nobody has timed, for each GiB of its weights and at least: guesses, roughly
#: what the published models of the registry take on the GPUs of their time.
GUESSED_SECONDS_PER_GB = {"generator": 0.2, "embedder": 0.005}
GUESSED_SECONDS_AT_LEAST = {"generator": 0.01, "embedder": 0.001}
#: Offload that brings all weights from the host in each call, which then is what a call pays once.
_STREAMS = ("sequential", "group")
#: A dummy computes nothing to speak of.
GUESSED_DUMMY_SECONDS = 0.0005
#: GiB a second from a disk to a device, a guess, and the batch size of a model whose size is still to be probed.
GUESSED_LOAD_GB, GUESSED_BATCH = 1.0, 4


@dataclass(frozen=True)
class ModelCost:
    """What a model costs on a device.

    A call of n items takes ``fixed_seconds + n * item_seconds``. ``bus_seconds`` is the part of ``fixed_seconds`` in
    which the device waits for weights from the host, so that another model can compute meanwhile; 0 where nobody
    knows. ``batch`` is the size of a call. ``note`` says on what the seconds were measured and by whom, if not here,
    ``setting`` in what that differed from the entry.
    """

    batch: int
    fixed_seconds: float
    item_seconds: float
    load_seconds: float
    bus_seconds: float = 0.0
    calls_from: Origin = "measured"
    load_from: Origin = "measured"
    note: str = ""
    setting: str = ""

    def call_seconds(self, items: int) -> float:
        """Of a call of so many items, the model being in memory."""
        return self.fixed_seconds + items * self.item_seconds


def cost_of(entry: ModelEntry, hardware: str, facts: KnownFacts | None = None) -> ModelCost:
    """The cost of a model on some hardware, by the best source that there is for calls and for loads."""
    batch = (facts.batch_for(entry, hardware) if facts else entry.batch) or _published_batch(entry) or GUESSED_BATCH
    fixed, each, calls_from, timed = _calls(entry, hardware, batch, facts)
    load, load_from = _load(entry, hardware, fixed + each, facts)
    streams = entry.load.get("offload") in _STREAMS
    note, setting = (f"{timed.device} ({timed.source})", timed.setting) if timed else ("", "")
    return ModelCost(batch, fixed, each, load, fixed if streams else 0.0, calls_from, load_from, note, setting)


def line_through(seconds: Mapping[int, float]) -> tuple[float, float]:
    """(a, b) of the line ``a + b * n`` with the least squares to the seconds of calls of n items.

    Neither is negative. Of one size, or where larger batches take longer for each item, ``a`` is 0 and ``b`` an item's
    share of the largest.
    """
    sizes = sorted(seconds)
    share = seconds[sizes[-1]] / sizes[-1]
    if len(sizes) == 1:
        return 0.0, share
    middle, usual = sum(sizes) / len(sizes), sum(seconds.values()) / len(sizes)
    slope = sum((n - middle) * (seconds[n] - usual) for n in sizes) / sum((n - middle) ** 2 for n in sizes)
    start = usual - slope * middle
    return (start, slope) if start >= 0 and slope >= 0 else (0.0, share)


def _calls(
    entry: ModelEntry, hardware: str, batch: int, facts: KnownFacts | None
) -> tuple[float, float, Origin, Timing | None]:
    """Fixed seconds, seconds of an item, and where from; the first timing if they were published."""
    known = facts.seconds(entry, hardware, batch) if facts else None
    if known is not None:
        return 0.0, known / batch, "measured", None
    timings = _of_one_device([t for t in entry.timings if t.seconds is not None and t.batch is not None], hardware)
    measured = {int(t.batch or 1): float(t.seconds or 0) * int(t.batch or 1) for t in timings}
    if batch in measured and len(measured) == 1:
        return 0.0, measured[batch] / batch, "published", timings[0]
    if measured:
        return *line_through(measured), "published", timings[0]
    loose = _of_one_device([t for t in entry.timings if t.seconds is not None], hardware)
    if loose:
        return 0.0, float(loose[0].seconds or 0), "published", loose[0]
    return 0.0, _guess(entry), "guess", None


def _load(entry: ModelEntry, hardware: str, one_seconds: float, facts: KnownFacts | None) -> tuple[float, Origin]:
    known = facts.load_seconds(entry, hardware) if facts else None
    if known is not None:
        return known, "measured"
    told = _of_one_device([t for t in entry.timings if t.load_seconds is not None], hardware)
    if told:
        return float(told[0].load_seconds or 0), "published"
    # A first output, loading included, less one without.
    cold = _of_one_device([t for t in entry.timings if t.cold_seconds is not None], hardware)
    if cold and (rest := float(cold[0].cold_seconds or 0) - one_seconds) > 0:
        return rest, "published"
    return (0.0 if entry.source.kind in ("builtin", "server") else entry.memory_gb / GUESSED_LOAD_GB), "guess"


def _of_one_device(timings: Sequence[Timing], hardware: str) -> list[Timing]:
    """Those of this hardware, else those of the first device that is named: seconds of two devices make no line."""
    device = next((t.device for t in timings if t.device == hardware), timings[0].device if timings else "")
    return [timing for timing in timings if timing.device == device]


def _published_batch(entry: ModelEntry) -> int | None:
    """The size with the fewest seconds for an item."""
    timed = [(float(t.seconds), t.batch) for t in entry.timings if t.seconds is not None and t.batch is not None]
    return min(timed)[1] if timed else None


def _guess(entry: ModelEntry) -> float:
    if entry.adapter == "dummy":
        return GUESSED_DUMMY_SECONDS
    return max(GUESSED_SECONDS_AT_LEAST[entry.kind], GUESSED_SECONDS_PER_GB[entry.kind] * entry.memory_gb)
