"""Absorption: runs that reach a fixed point or a cycle of exact outputs, when, into which, and how many share it.

Here belongs what exact equality of outputs tells; no embedding is read. A *cycle* is proven only for runs of
repeatable models that the loop watched: their state (place in the ring, output) fixes all that follows. In other runs
an equal caption proves nothing, since the next draw of noise differs: those are *repeats*, counted under that name.
Near returns belong to ``recurrence``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, Continuation
from panic_assets.dynamics.corpus import Corpus, Run
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic, Interval, RunStatistic
from panic_assets.dynamics.grouping import bootstrapped_means, grouped, means
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.survival import Survival, kaplan_meier, median_time
from panic_assets.dynamics.uncertainty import bootstrap

_NOT_CYCLE = "label repeats: the same output came again, which in these runs does not fix what follows"


@dataclass(frozen=True)
class Repeat:
    """``first``: place of the output that comes again first; ``again``: the place at which it does."""

    first: int
    again: int


def first_repeat(outputs: Sequence[str | bytes], ring: int, kind: type | None = None) -> Repeat | None:
    """The first exact return of an output at the same place in the ring, None if there is none.

    ``kind`` restricts to texts (``str``) or pictures (``bytes``).
    """
    seen: dict[tuple[int, str | bytes], int] = {}
    for place, output in enumerate(outputs):
        if kind is None or isinstance(output, kind):
            before = seen.setdefault((place % ring, output), place)
            if before != place:
                return Repeat(before, place)
    return None


def outputs_until(run: Run, until: int) -> tuple[str | bytes, ...]:
    """Outputs, continued along the run's cycle up to ``until`` invocations if it closed one."""
    given = run.outputs
    if run.transient_length is None or not run.cycle_length or len(given) >= until:
        return given
    turn = given[run.transient_length : run.transient_length + run.cycle_length]
    missing = range(len(given), until)
    return given + tuple(turn[(place - run.transient_length) % len(turn)] for place in missing)


def attractor(run: Run) -> str | None:
    """A name of the cycle that the run ended in: equal for runs whose cycles have the same outputs in the same places.

    32 hexadecimal digits, whatever the output at which a run entered the cycle; None without a cycle.
    """
    if run.transient_length is None or not run.cycle_length:
        return None
    ring = len(run.models)
    places = range(run.transient_length, run.transient_length + run.cycle_length)
    states = sorted({(place % ring, _bytes(run.outputs[place])) for place in places})
    digest = blake2b(digest_size=16)
    for place, output in states:
        digest.update(place.to_bytes(4, "little") + len(output).to_bytes(8, "little") + output)
    return digest.hexdigest()


def _bytes(output: str | bytes) -> bytes:
    return b"t" + output.encode() if isinstance(output, str) else b"p" + output


@dataclass(frozen=True)
class Dwell:
    """How long outputs stay: ``complete`` stays ended within the run, ``open`` ones last until its end; in turns."""

    complete: tuple[int, ...]
    open: tuple[int, ...]


def dwell_times(outputs: Sequence[str | bytes], ring: int, kind: type = str) -> Dwell:
    """Stays at one output, place by place of the ring: turns in a row with the same text (or picture, ``bytes``)."""
    complete: list[int] = []
    still: list[int] = []
    for place in range(ring):
        series = [output for output in outputs[place::ring] if isinstance(output, kind)]
        if not series:
            continue
        edges = [0, *(i for i in range(1, len(series)) if series[i] != series[i - 1]), len(series)]
        stays = [end - start for start, end in pairwise(edges)]
        complete += stays[:-1]
        still.append(stays[-1])
    return Dwell(tuple(complete), tuple(still))


def watched(runs: Sequence[Run]) -> list[bool]:
    """Which runs could have closed a cycle: those in which an exact repeat would have been noted as one.

    Seeded runs, and unseeded ones of networks where such a run did close a cycle (no model of theirs uses the seed). A
    network is left out when one of its seeded runs came back exactly without a cycle being noted: its models do not
    repeat themselves.
    """
    blind, settled = set(), set()
    for run in runs:
        if run.transient_length is not None:
            if run.seed < 0:
                settled.add(run.network)
        elif run.seed >= 0 and first_repeat(run.outputs, len(run.models)):
            blind.add(run.network)
    return [(r.seed >= 0 or r.network in settled) and r.network not in blind and bool(r.outputs) for r in runs]


def shared_probability(names: Sequence[str | None]) -> Interval:
    """Probability that two of the runs that were absorbed ended in the same attractor, with a bootstrap over runs.

    A U-statistic; pairs of a run with its own copy in a resample do not count. NaN with fewer than two absorbed runs.
    """
    known = [name for name in names if name is not None]
    if len(known) < 2:
        return Interval(float("nan"))
    of = np.unique(known, return_inverse=True)[1]

    def probability(drawn: np.ndarray) -> float:
        times = np.bincount(drawn, minlength=len(of)).astype(float)
        own = np.sum(times**2)
        pairs = times.sum() ** 2 - own
        return float((np.sum(np.bincount(of, weights=times) ** 2) - own) / pairs) if pairs else float("nan")

    if len(known) < 3:
        return Interval(probability(np.arange(len(known))))
    return bootstrap(probability, len(known))


def compute(corpus: Corpus, continuation: Continuation = CONTINUED) -> Findings:
    """Absorption of every run, and its curve, cycles and basins for every network and prompt."""
    findings = Findings()
    runs = corpus.runs
    able = watched(runs)
    longest = {
        network: max(len(r.outputs) for r in runs if r.network == network) for network in {r.network for r in runs}
    }
    numbers: dict[str, np.ndarray] = {}
    for row, run in enumerate(runs):
        outputs = outputs_until(run, longest[run.network]) if continuation.along_cycles else run.outputs
        measured = _run_numbers(run, outputs)
        for name, value in measured.items():
            numbers.setdefault(name, np.full(len(runs), np.nan))[row] = value
            findings.runs.append(RunStatistic(run.number, name, value, unit=_UNITS.get(name, "")))
        findings.runs.append(RunStatistic(run.number, "absorption", label=_label(run, able[row])))
        if (ended_in := attractor(run)) is not None:
            findings.runs.append(RunStatistic(run.number, "attractor", label=ended_in))
    for group, members in grouped(runs):
        chosen = [runs[m] for m in members]
        findings.groups += means(
            group,
            {k: numbers[k][members] for k in _MEANS},
            _UNITS,
            "a run continued on its cycle" if continuation.along_cycles else "outputs as stored",
        )
        _cycles(findings, group, [r for r, m in zip(chosen, members, strict=True) if able[m]])
        _repeats(findings, group, [r for r, m in zip(chosen, members, strict=True) if not able[m] and r.outputs])
    return findings


_UNITS = {
    "transient_length": "invocations",
    "cycle_length": "invocations",
    "cycle_turns": "turns of the ring",
    "first_text_repeat": "invocations",
    "first_image_repeat": "invocations",
    "distinct_texts": "outputs",
    "distinct_images": "outputs",
    "mean_text_dwell": "turns of the ring",
    "longest_text_dwell": "turns of the ring",
}
_MEANS = ("distinct_texts", "distinct_images", "distinct_share", "mean_text_dwell", "longest_text_dwell")


def _run_numbers(run: Run, outputs: Sequence[str | bytes]) -> dict[str, float]:
    ring = len(run.models)
    dwell = dwell_times(outputs, ring)
    kinds = {"text": str, "image": bytes}
    held = {name: [output for output in outputs if isinstance(output, kind)] for name, kind in kinds.items()}
    repeats = {name: first_repeat(run.outputs, ring, kind) for name, kind in kinds.items()}
    cycle = run.cycle_length if run.transient_length is not None else None
    nan = float("nan")
    return {
        "transient_length": nan if run.transient_length is None else float(run.transient_length),
        "cycle_length": float(cycle) if cycle else nan,
        "cycle_turns": cycle / ring if cycle else nan,
        **{f"first_{name}_repeat": float(found.again) if found else nan for name, found in repeats.items()},
        "distinct_texts": float(len(set(held["text"]))) if held["text"] else nan,
        "distinct_images": float(len(set(held["image"]))) if held["image"] else nan,
        "distinct_share": len(set(outputs)) / len(outputs) if outputs else nan,
        "mean_text_dwell": float(np.mean(dwell.complete)) if dwell.complete else nan,
        "longest_text_dwell": float(max(dwell.complete + dwell.open)) if dwell.open else nan,
    }


def _label(run: Run, able: bool) -> str:
    if run.transient_length is not None and run.cycle_length:
        return "fixed point" if run.cycle_length <= len(run.models) else "cycle"
    return "open" if able else "not watched"


def _cycles(findings: Findings, group: Group, runs: Sequence[Run]) -> None:
    """Rows about true cycles, of the runs in which they could be seen."""
    if not runs:
        return
    names = [attractor(run) for run in runs]
    happened = np.array([name is not None for name in names], dtype=bool)
    absorbed = [run for run, name in zip(runs, names, strict=True) if name is not None]
    ends = np.array([len(run.outputs) - 1 for run in runs], dtype=float)
    closed = np.array([(r.transient_length or 0) + (r.cycle_length or 0) for r in runs], dtype=float)
    entered = np.array([r.transient_length or 0 for r in runs], dtype=float)
    for name, times in (("closed", closed), ("entered", entered)):
        survival = kaplan_meier(np.where(happened, times, ends), happened)
        _survival_rows(findings, group, f"cycle_{name}", survival, len(runs), "runs of repeatable models")
    turns = np.array([r.cycle_length / len(r.models) for r in absorbed if r.cycle_length])
    shares = {
        "absorbed_share": happened.astype(float),
        "fixed_point_share": np.array([_label(run, True) == "fixed point" for run in runs], dtype=float),
    }
    findings.groups += means(group, shares, {}, "by the end of each run")
    findings.groups += means(group, {"cycle_turns": turns}, _UNITS, "runs that closed a cycle")
    if absorbed:
        lengths = np.array([run.cycle_length for run in absorbed], dtype=float)
        x = np.unique(lengths)
        curve = bootstrapped_means((lengths[:, None] == x).astype(float))
        findings.curves.append(Curve(group, "cycle_length_share", x, curve[0], "invocations", curve[1], curve[2]))
    basins = Counter(name for name in names if name is not None)
    uncounted = "no interval: resamples of runs hold fewer distinct attractors by construction"
    for name, value in (("attractors", float(len(basins))), ("largest_basin", float(max(basins.values(), default=0)))):
        unit = "attractors" if name == "attractors" else "runs"
        findings.groups.append(GroupStatistic(group, name, Interval(value), len(absorbed), f"count; {uncounted}", unit))
    findings.groups.append(
        GroupStatistic(
            group,
            "same_attractor_probability",
            shared_probability(names),
            len(absorbed),
            "share of pairs of absorbed runs, bootstrap over runs",
        )
    )


def _repeats(findings: Findings, group: Group, runs: Sequence[Run]) -> None:
    """Rows about repeats of labels in runs that have no cycles to see."""
    for name, kind in (("text", str), ("image", bytes)):
        holding = [run for run in runs if any(isinstance(output, kind) for output in run.outputs)]
        found = [first_repeat(run.outputs, len(run.models), kind) for run in holding]
        times = [repeat.again if repeat else len(run.outputs) - 1 for repeat, run in zip(found, holding, strict=True)]
        survival = kaplan_meier(np.array(times, dtype=float), np.array([repeat is not None for repeat in found], bool))
        _survival_rows(findings, group, f"{name}_repeat", survival, len(holding), _NOT_CYCLE)


def _survival_rows(findings: Findings, group: Group, name: str, survival: Survival, runs: int, what: str) -> None:
    if not runs:
        return
    findings.curves.append(
        Curve(
            group,
            f"{name}_by",
            survival.times,
            1 - survival.share,
            "invocations",
            1 - survival.high,
            1 - survival.low,
        )
    )
    method = f"{what}; Kaplan-Meier, censored at the end of the run; interval of Brookmeyer and Crowley"
    median = median_time(survival)
    details = None if np.isfinite(median.value) else {"why": "fewer than half of the runs by the end"}
    findings.groups.append(
        GroupStatistic(group, f"median_{name}", median, runs, method, "invocations", details=details)
    )


ABSORPTION = Analysis(
    "absorption",
    "Absorption",
    "Fixed points and cycles of exact outputs: when runs are absorbed (Kaplan-Meier), into what, how many share it.",
    compute,
    reads=("runs", "invocations", "outcomes"),
)
