"""The experiment of a night: the file that lets everything else work on what was ingested.

Here belongs what the file says. What a person changed in it, such as embedding models, tags and words, stays.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from panic_assets.experiment import UNSEEDED, Experiment
from panic_assets.live.to_lake.names import SYSTEM, Held

_LONGEST = 1_000_000
#: How much there is, in a sentence: it makes the file another one, so that what is new is embedded and analysed.
_COUNTS = re.compile(r"\(\d+ runs?, \d+ invocations?\)")


def experiment_of(
    place: Held,
    network: str,
    runs: Sequence[Mapping[str, Any]],
    invocations: int,
    embedding_models: Sequence[str],
    before: Mapping[str, Any] | None = None,
) -> Experiment:
    """The experiment of the rows of ``runs``; ``before`` is what its file says now.

    Raises:
        ExperimentError: the rows are no experiment.
    """
    before = before or {}
    tags = {prompt["text"]: prompt.get("tags", {}) for prompt in before.get("prompts", [])}
    prompts = {row["prompt_number"]: row["prompt"] for row in runs}
    repeats = Counter((row["network"], row["prompt"]) for row in runs)
    values = {
        "name": place.key,
        "embedding_models": list(embedding_models),
        **before,
        "description": _description(before.get("description", ""), network, place.day, len(runs), invocations),
        "networks": [list(ring) for ring in dict.fromkeys(tuple(row["models"]) for row in runs)],
        "prompts": [{"text": prompts[number], "tags": tags.get(prompts[number], {})} for number in sorted(prompts)],
        "seeds": [UNSEEDED] * max(repeats.values()),
        "max_length": min(max(row["max_length"] for row in runs), _LONGEST),
        "imported_from": SYSTEM,
    }
    return Experiment.parse(values, where=f"network {network!r} on {place.day.isoformat()}")


def _description(before: str, network: str, day: date, runs: int, invocations: int) -> str:
    counts = f"({runs} {'run' if runs == 1 else 'runs'}, {invocations} invocation{'' if invocations == 1 else 's'})"
    if not before:
        return f"Live network {network}, {day.isoformat()} {counts}."
    return _COUNTS.sub(counts, before, count=1) if _COUNTS.search(before) else f"{before} {counts}"
