"""How a study's arms, metrics and numbers are told to people.

Here belong names, units and the form of numbers. Which of them are shown is in ``panels`` and ``article``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from panic_assets.studies.quantities import better, words

_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
_SHARE = "% of rows"
#: Unit of each metric, and what brings a stored value into it. Others have none.
_UNITS: dict[str, tuple[str, float]] = {
    "accuracy_gap": ("percentage points", 100),
    "rollout_settled": ("%", 100),
    "generalisation_gap": ("test loss \u2212 training loss", 1),
    "seconds": ("s", 1),
    "step_seconds": ("ms", 1000),
    "peak_memory_mb": ("MB", 1),
    "certified_radius_median": ("L2 distance", 1),
}


@dataclass(frozen=True)
class Measure:
    """A metric as people read it: ``factor`` brings a stored value into ``unit``."""

    label: str
    unit: str
    better: str
    factor: float


_NORMS = {"l2": "L2", "linf": "L\u221e", "": ""}
_ATTACKS = {"fgsm": "FGSM", "pgd": "PGD", "noise": "Gaussian noise", "certified": "certified"}


def measure_of(metric: str) -> Measure:
    """How a metric is told."""
    is_share = metric.startswith("robust_area_") or metric.endswith(("_accuracy", "_accuracy_unseen"))
    unit, factor = _UNITS.get(metric, (_SHARE, 100) if is_share else ("", 1))
    # Trainers elsewhere may call a metric anything; only ours of this kind end in an attack and a norm.
    is_known = not metric.startswith("robust_area_") or metric.count("_") == 3
    return Measure(words(metric) if is_known else metric.replace("_", " "), unit, better(metric) or "", factor)


def arm_words(arm: str) -> str:
    """An arm's name, at most 24 characters of it."""
    told = arm.replace("_", " ")
    return told if len(told) <= 24 else told[:23] + "\u2026"


def attack_words(attack: str, norm: str) -> str:
    """``PGD, L2``."""
    return ", ".join(part for part in (_ATTACKS.get(attack, attack), _NORMS.get(norm, norm)) if part)


def norm_words(norm: str) -> str:
    """``L2``."""
    return _NORMS.get(norm, norm)


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: so many significant digits, a true minus, powers of ten far from 1; a dash for none."""
    if value is None or math.isnan(value):
        return "\u2013"
    if math.isinf(value):
        return "\u221e" if value > 0 else "\u2212\u221e"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if 1 <= size <= 5 and value == int(value):
        return f"{int(value):,}".replace("-", "\u2212")
    if size < -3 or size > 5:
        mantissa = f"{value / 10.0**size:.{max(digits - 2, 0)}f}"
        return f"{mantissa}\u00d710{_raised(size)}".replace("-", "\u2212", 1)
    decimals = max(digits - 1 - size, 0)
    return f"{value:,.{decimals}f}".replace("-", "\u2212")


def signed(value: float | None, digits: int = 3) -> str:
    """A difference: with its sign, plus too."""
    told = number(value, digits)
    return f"+{told}" if value is not None and value > 0 else told


def alike(values: Sequence[float | None], spread: float, sign: bool = False) -> list[str]:
    """Numbers that are read together: with the decimals at which ``spread`` has three digits that count."""
    if not math.isfinite(spread) or spread <= 0:
        return [signed(value) if sign else number(value) for value in values]
    decimals = 2 - math.floor(math.log10(spread))
    if decimals > 6 or any(value is not None and abs(value) >= 1e6 for value in values):
        return [signed(value, 2) if sign else number(value, 2) for value in values]
    told = []
    for value in values:
        if value is None or not math.isfinite(value):
            told.append(number(value))
            continue
        near = round(value, decimals) + 0.0
        told.append(f"{near:{'+' if sign and near else ''},.{max(decimals, 0)}f}".replace("-", "\u2212"))
    return told


def _raised(power: int) -> str:
    return str(power).translate(_RAISED)


def power_of_ten(power: int) -> str:
    """``10²``; numbers near 1 as they are."""
    return {-2: "0.01", -1: "0.1", 0: "1", 1: "10", 2: "100"}.get(power) or f"10{_raised(power)}"


def duration(milliseconds: float | None) -> str:
    """``850 ms``, ``12.3 s``, ``4 min 10 s``."""
    if milliseconds is None:
        return "\u2013"
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def size(count: float | None) -> str:
    """Bytes: ``12 kB``."""
    if count is None:
        return "\u2013"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
