"""What becomes of a study's claim, which was written down before anything was trained: a verdict and a sentence.

Here belong words. The numbers come from ``comparison``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from typing import Any, Literal

from panic_assets.studies.comparison import Claim, Comparison
from panic_assets.studies.quantities import arm_words, words

Verdict = Literal["supported", "not supported", "opposite", "inconclusive"]
_COST = "step_seconds"


def claimed(comparisons: Sequence[Comparison], claim: Claim) -> Comparison | None:
    """The comparison that the claim is about; None if it was not made. Searches decide no claim."""
    for one in comparisons:
        if (one.mode, one.arm, one.metric) == ("comparison", claim.arm, claim.metric):
            return one
    return None


def verdict(comparison: Comparison | None, claim: Claim) -> Verdict:
    """What the interval says: beside zero as claimed, beside it on the other side, or around it.

    The interval is two-sided even where the claim has a direction. It is not adjusted for the other measures: the claim
    was chosen before. ``inconclusive`` are too few pairs for an interval at all (for 95 %, fewer than six).
    """
    if comparison is None or isnan(comparison.low):
        return "inconclusive"
    side = (comparison.low > 0) - (comparison.high < 0)
    if not side:
        return "not supported"
    expected = {"higher": 1, "lower": -1, "different": side}[claim.direction]
    return "supported" if side == expected else "opposite"


def sentence(comparisons: Sequence[Comparison], claim: Claim) -> str:
    """One sentence to quote: effect, interval, pairs, size of the effect, cost, verdict."""
    found = claimed(comparisons, claim)
    is_claimed = f"that it is {claim.direction}" if claim.direction != "different" else "that it differs"
    arm, metric = arm_words(claim.arm), words(claim.metric)
    if found is None or not found.pairs:
        return (
            f"The claim about {arm} and {metric}, {is_claimed}, is inconclusive: "
            "no pair of completed trials has this measure."
        )
    said = verdict(found, claim)
    ends = {
        "supported": f"the claim {is_claimed} is supported.",
        "opposite": f"the claim {is_claimed} is refuted, the opposite holds.",
        "not supported": f"the claim {is_claimed} is not supported, as the interval holds zero.",
        "inconclusive": f"the claim {is_claimed} is inconclusive, as so few pairs give no interval.",
    }
    return (
        f"With {arm}, {metric} is {_number(found.arm_mean)} against {_number(found.reference_mean)} with "
        f"{arm_words(found.reference)}, a difference of {_signed(found.difference)} ({_sure(found)})"
        f"{_cost(comparisons, found)}: {ends[said]}"
    )


def comparison_rows(comparisons: Sequence[Comparison], claim: Claim | None) -> list[dict[str, Any]]:
    """Rows of table ``study_comparison``, without the study; the row of the claim has the sentence."""
    own = claimed(comparisons, claim) if claim else None
    text = sentence(comparisons, claim) if claim and own else None
    return [asdict(one) | {"is_claim": one is own, "sentence": text if one is own else None} for one in comparisons]


def _sure(found: Comparison) -> str:
    parts = [f"{found.pairs} pair{'s' if found.pairs > 1 else ''}"]
    if not isnan(found.low):
        parts.insert(0, f"{found.confidence * 100:g} % interval {_signed(found.low)} to {_signed(found.high)}")
    if found.effect_size is not None:
        parts.append(f"effect size d_z {found.effect_size:.2f}")
    if found.permutation_p is not None:
        parts.append(
            f"exact p {_number(found.permutation_p)}" if found.pairs <= 14 else f"p {_number(found.permutation_p)}"
        )
    return ", ".join(parts)


def _cost(comparisons: Sequence[Comparison], found: Comparison) -> str:
    for one in comparisons:
        if (one.mode, one.arm, one.metric) == (found.mode, found.arm, _COST) and one.ratio is not None:
            return f", at {one.ratio:.2f} times the time per step"
    return ""


def _number(value: float) -> str:
    return f"{value:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"
