"""What measured codecs come to: how many fewer or more bytes ours needs at equal likeness, and where it loses.

Here belong the scales on which likeness is compared and the sentences. Measuring belongs to ``comparing``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from panic_assets.codec.bd_rate import Difference, NoCommonQuality, difference
from panic_assets.codec.comparing import OURS, RIVALS, Row

_BEST = 100.0  # dB: what pictures that differ in next to nothing count as


@dataclass(frozen=True)
class Measure:
    """A likeness of pictures and their copies.

    ``value`` takes it from a row; ``in_decibels`` makes a scale of it that rises with likeness and on which what is
    nearly equal stands apart, ``back`` undoes that. ``told`` writes a value; ``falls`` where small ones are good.
    """

    name: str
    title: str
    value: Callable[[Row], float | None]
    in_decibels: Callable[[float], float]
    back: Callable[[float], float]
    told: Callable[[float], str]
    falls: bool = False


def _of_distance(distance: float) -> float:
    return _BEST if distance <= 0 else min(-10 * math.log10(distance), _BEST)


def _to_distance(decibels: float) -> float:
    return 10 ** (-decibels / 10)


def _likeness(name: str, title: str, value: Callable[[Row], float | None]) -> Measure:
    return Measure(
        name, title, value, lambda v: _of_distance(1 - v), lambda db: 1 - _to_distance(db), lambda v: f"{v:.4f}"
    )


MEASURES = (
    Measure("psnr", "PSNR", lambda row: row.psnr, lambda v: min(v, _BEST), lambda db: db, lambda v: f"{v:.1f} dB"),
    _likeness("ssim", "SSIM", lambda row: row.ssim),
    _likeness("ms_ssim", "MS-SSIM", lambda row: row.ms_ssim),
    Measure("drift", "drift", lambda row: row.drift, _of_distance, _to_distance, lambda v: f"{v:.2g}", falls=True),
)
#: What of a file is counted.
COUNTED: dict[str, Callable[[Row], float]] = {
    "files": lambda row: row.byte_size,
    "payload": lambda row: row.payload_size,
}


@dataclass(frozen=True)
class Verdict:
    """Ours against one rival by one measure, over the likeness that both reach.

    ``change`` is the mean relative difference in bytes, -0.3 for 30 % fewer. ``worst`` and ``best`` are the ends of
    that range in the measure's own unit; in ``lost_share`` of it, on the scale of decibels, ours needs more bytes. All
    four are None where no likeness is reached by both.
    """

    against: str
    measure: str
    counted: str
    change: float | None
    worst: float | None
    best: float | None
    lost_share: float | None
    sentence: str


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Ours against each rival that was measured, by each measure, counting files and payload; lossless rows aside."""
    lossy = [row for row in rows if row.quality is not None]
    curves = {codec: [row for row in lossy if row.codec == codec] for codec in (OURS, *RIVALS)}
    return [
        _verdict(curves[OURS], curves[rival], rival, measure, counted)
        for rival in RIVALS
        if curves[rival]
        for measure in MEASURES
        if all(measure.value(row) is not None for row in lossy)
        for counted in COUNTED
    ]


def headline(found: Sequence[Verdict]) -> str:
    """The sentence to quote: against AVIF, by MS-SSIM, counting files; empty without verdicts."""
    wanted = ("AVIF", "ms_ssim", "files")
    return next((one.sentence for one in found if (one.against, one.measure, one.counted) == wanted), "")


def without_loss(rows: Sequence[Row]) -> str:
    """What files without any loss take, the smallest first, in a sentence; empty where none was measured."""
    found = sorted((row.byte_size, row.codec) for row in rows if row.quality is None)
    if not found:
        return ""
    told = [f"{codec} {size:,.0f}{' bytes' if not place else ''}" for place, (size, codec) in enumerate(found)]
    return f"Without any loss files take: {', '.join(told)}."


def _verdict(ours: list[Row], theirs: list[Row], rival: str, measure: Measure, counted: str) -> Verdict:
    points = [
        ([COUNTED[counted](row) for row in rows], [measure.in_decibels(measure.value(row) or 0.0) for row in rows])
        for rows in (ours, theirs)
    ]
    try:
        found = difference(*points[0], *points[1])
    except NoCommonQuality:
        return Verdict(rival, measure.name, counted, None, None, None, None, _apart(points, rival, measure))
    ends = measure.back(found.low), measure.back(found.high)
    sentence = _sentence(found, rival, measure, counted)
    return Verdict(rival, measure.name, counted, found.change, *ends, found.lost_share, sentence)


def _sentence(found: Difference, rival: str, measure: Measure, counted: str) -> str:
    percent = round(100 * abs(found.change))
    much = f"{percent} % {'fewer' if found.change < 0 else 'more'}" if percent else "as many"
    than = "than" if percent else "as"
    what = "bytes" if counted == "files" else "bytes of payload"
    worst, best = (measure.told(measure.back(end)) for end in (found.low, found.high))
    return (
        f"At equal {measure.title} {OURS} needs {much} {what} {than} {rival} over the range that both reach "
        f"({worst} to {best}); {_losses(found, measure)}."
    )


def _losses(found: Difference, measure: Measure) -> str:
    if not found.lost:
        return "it loses nowhere in it"
    if found.lost_share > 0.999:
        return "it loses all over it"
    return "it loses " + " and ".join(_places(found, measure))


def _places(found: Difference, measure: Measure) -> Iterator[str]:
    above, below = ("below", "above") if measure.falls else ("above", "below")
    for start, end in found.lost:
        first, last = (measure.told(measure.back(place)) for place in (start, end))
        if end >= found.high:
            yield f"{above} {first}"
        elif start <= found.low:
            yield f"{below} {last}"
        else:
            yield f"from {first} to {last}"


def _apart(points: Sequence[tuple[list[float], list[float]]], rival: str, measure: Measure) -> str:
    ours, theirs = (
        " to ".join(measure.told(measure.back(end)) for end in (min(scale), max(scale))) for _, scale in points
    )
    return f"No {measure.title} is reached by both {OURS} ({ours}) and {rival} ({theirs})."
