"""Charts of a comparison: paired differences, grouped bars, a scatter of trials, robustness, bounds, cost.

Here belongs one function for each; each gives None where nothing is to show. Curves over epochs are in ``curves``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from panic_assets.reports.study.contents import Study, Trial, by_pair, mean_interval
from panic_assets.reports.study.svg import (
    DASHES,
    WIDTH,
    Plot,
    Scale,
    apart,
    chart,
    fitted,
    mark,
    pointed,
    tag,
    text,
    width_of,
)
from panic_assets.reports.study.words import arm_words, attack_words, measure_of, norm_words, number, signed

Link = Callable[[Trial], str | None]
_MOST_MARKS = 60  # pairs of an arm in a chart of differences
_BOLD = 12.4  # bold letters are as wide as larger ones
_ROW = 34.0  # pixels of an arm in a chart of rows


@dataclass(frozen=True)
class Panel:
    """A drawing with what stands over and under it."""

    title: str
    svg: str
    note: str = ""


def differences(study: Study, metric: str) -> Panel | None:
    """Each pair's difference from the reference, and the mean with its interval: one row for each arm."""
    told = measure_of(metric)
    rows = {row["arm"]: row for row in study.comparison if row["metric"] == metric and row.get("mode") != "search"}
    pairs = by_pair(study, metric)
    arms = [arm for arm in study.arms if arm in rows]
    if not arms:
        return None
    values = [told.factor * v for a in arms for v in (*pairs.get(a, {}).values(), *_ends(rows[a]))]
    left, bottom = _label_room(arms), 18 + _ROW * len(arms)
    x = fitted([*values, 0.0], left, WIDTH - 12)
    drawn = [
        tag("line", class_="rule", x1=x.at(v), x2=x.at(v), y1=14.0, y2=bottom)
        + text(x.at(v), bottom + 15, t, class_="tick mid")
        for v, t in x.ticks(4)
    ]
    drawn.append(tag("line", class_="zero", x1=x.at(0), x2=x.at(0), y1=10.0, y2=bottom))
    for place, arm in enumerate(arms):
        y, kind, row = 14 + _ROW * (place + 0.5), study.colour(arm), rows[arm]
        own = [text(left - 10, y + 4, arm_words(arm), class_="name end")]
        for order, (pair, value) in enumerate(_few(sorted(pairs.get(arm, {}).items()))):
            away = 9 * (((order * 0.618034) % 1) - 0.5)
            words = f"{arm_words(arm)}, pair {pair}: {signed(told.factor * value)}"
            own.append(mark(kind, x.at(told.factor * value), y + 8 + away * 0.5, 2.4, words, class_=f"dot a{kind}"))
        low, high = (told.factor * row[end] if row[end] is not None else math.nan for end in ("low", "high"))
        if math.isfinite(low) and math.isfinite(high):
            own.append(tag("line", class_=f"interval a{kind}", x1=x.at(low), x2=x.at(high), y1=y - 3, y2=y - 3))
        middle = told.factor * row["difference"]
        words = (
            f"{arm_words(arm)} \u2212 {arm_words(study.reference)}: {signed(middle)} [{number(low)}, {number(high)}]"
        )
        own.append(mark(kind, x.at(middle), y - 3, 5.2, words, class_=f"mean a{kind}"))
        drawn.append(tag("g", *own, class_="arm", data_arm=kind))
    unit = "percentage points" if told.unit.startswith("%") else told.unit
    side = {"higher": "right of 0 is better", "lower": "left of 0 is better"}.get(told.better, "")
    drawn.append(text((left + WIDTH) / 2, bottom + 31, ", ".join(p for p in (unit, side) if p), class_="title mid"))
    label = f"Difference of {told.label} from {arm_words(study.reference)} for {len(arms)} arms"
    most = max((len(own) for own in pairs.values()), default=0)
    note = f"Of {most} pairs {_MOST_MARKS} are drawn; means are of all." if most > _MOST_MARKS else ""
    return Panel(told.label, chart(label, *drawn, height=bottom + 38), note)


def bars(study: Study, metrics: Sequence[str], title: str) -> Panel | None:
    """Means of arms with 95% intervals, grouped by metric, from zero."""
    groups = [(m, {a: _values(study, a, m) for a in study.arms}) for m in metrics]
    groups = [(metric, own) for metric, own in groups if any(own.values())]
    arms = [arm for arm in study.arms if any(own[arm] for _, own in groups)]
    if not groups:
        return None
    means = {(m, arm): mean_interval(own[arm]) for m, own in groups for arm in arms}
    y = fitted([v for mean in means.values() for v in mean], 205, 28, zero=True)
    plot = Plot(Scale(0, len(groups), 44, WIDTH - 6), y)
    drawn = [
        tag("line", class_="rule", x1=44, x2=WIDTH - 6, y1=y.at(v), y2=y.at(v))
        + text(38, y.at(v) + 3.6, t, class_="tick end")
        for v, t in y.ticks(5)
    ]
    room = (WIDTH - 50) / len(groups)
    wide = min(room * 0.86 / len(arms), 34)
    for place, (metric, _) in enumerate(groups):
        middle = plot.x.at(place + 0.5)
        drawn.append(text(middle, 221, _short_metric(metric), class_="tick mid"))
        for order, arm in enumerate(arms):
            mean, low, high = means[metric, arm]
            if not math.isfinite(mean):
                continue
            kind, x = study.colour(arm), middle + wide * (order - len(arms) / 2)
            top, foot = sorted((y.at(mean), y.at(0)))
            words = f"{arm_words(arm)}, {measure_of(metric).label}: {number(mean)} [{number(low)}, {number(high)}]"
            own = [
                tag(
                    "rect",
                    pointed(words),
                    class_=f"bar a{kind}",
                    x=x + 1,
                    y=top,
                    width=wide - 2,
                    height=max(foot - top, 0.5),
                )
            ]
            own.append(tag("line", class_="whisker", x1=x + wide / 2, x2=x + wide / 2, y1=y.at(low), y2=y.at(high)))
            label = number(mean, 2)
            if width_of(label, 9) < wide:
                own.append(text(x + wide / 2, y.at(high) - 3, label, class_="value mid"))
            drawn.append(tag("g", *own, class_="arm", data_arm=kind))
    drawn.append(tag("line", class_="edge", x1=44, x2=WIDTH - 6, y1=y.at(0), y2=y.at(0)))
    drawn.append(text(2, 11, measure_of(groups[0][0]).unit or title.lower(), class_="title"))
    return Panel(
        title, chart(f"{title} of {len(arms)} arms", *drawn, height=230), "Means over trials; lines are 95% intervals."
    )


def scatter(study: Study, x_metric: str, y_metric: str, link: Link = lambda trial: None) -> Panel | None:
    """Each trial by two metrics, in the colour and mark of its arm; arms are named at the middle of theirs."""
    x_told, y_told = measure_of(x_metric), measure_of(y_metric)
    found = [(t, x_told.factor * t.metric(x_metric), y_told.factor * t.metric(y_metric)) for t in study.compared]
    found = [one for one in found if math.isfinite(one[1]) and math.isfinite(one[2])]
    if not found:
        return None
    xs = [x for _, x, _ in found]
    log = min(xs) > 0 and max(xs) > 20 * min(xs)
    right = WIDTH - 12 - max(width_of(arm_words(arm), _BOLD) for arm in {trial.arm for trial, *_ in found})
    plot = Plot(fitted(xs, 46, right, log=log), fitted([y for *_, y in found], 200, 26, room=0.1))
    drawn = [plot.axes(_with_unit(x_told.label, x_told.unit), _with_unit(y_told.label, y_told.unit), 4)]
    size = 2.4 if len(found) > 200 else 3.6
    ends: list[tuple[float, float, str, int]] = []
    for arm in reversed(study.arms):
        own = [(t, plot.x.at(x), plot.y.at(y), x, y) for t, x, y in found if t.arm == arm]
        if not own:
            continue
        kind, marks = study.colour(arm), []
        for trial, px, py, x, y in own:
            who = f"pair {trial.pair}" if trial.pair is not None else trial.trial_id[:8]
            words = f"{arm_words(arm)}, {who}: {number(x)}, {number(y)}"
            drawn_mark = mark(kind, px, py, size, words, class_=f"dot a{kind}")
            address = link(trial)
            marks.append(tag("a", drawn_mark, href=address, tabindex=-1) if address else drawn_mark)
        px, py = sorted(px for _, px, *_ in own)[len(own) // 2], sum(py for _, _, py, *_ in own) / len(own)
        ends.append((px, py, arm, kind))
        drawn.append(tag("g", *marks, class_="arm", data_arm=kind))
    for (px, py, arm, kind), y in zip(ends, apart([end[1] for end in ends], 13, 32, 196), strict=True):
        lead = tag("line", class_=f"lead-line a{kind}", x1=px, y1=py, x2=right + 5, y2=y)
        middle = mark(kind, px, py, 5, f"{arm_words(arm)}, the middle of its trials", class_=f"mean a{kind}")
        name = text(right + 8, y + 4, arm_words(arm), class_=f"label a{kind}")
        drawn.append(tag("g", lead, middle, name, class_="arm", data_arm=kind))
    note = "Each mark is a trial." if not log else "Each mark is a trial; the axis below is logarithmic."
    return Panel(
        f"{y_told.label} against {x_told.label}",
        chart(f"{y_told.label} against {x_told.label}, {len(found)} trials", *drawn, height=236),
        note,
    )


def robustness(study: Study) -> list[Panel]:
    """Accuracy against the size of a disturbance: a panel for each attack and norm, a line for each arm."""
    arms = {trial.trial_id: trial.arm for trial in study.compared}
    kept: dict[tuple[str, str], dict[str, dict[float, list[float]]]] = {}
    for row in study.robustness:
        if row["metric"] == "accuracy" and row["value"] is not None and row["trial_id"] in arms:
            by_arm = kept.setdefault((row["attack"], row["norm"]), {})
            by_arm.setdefault(arms[row["trial_id"]], {}).setdefault(row["epsilon"], []).append(100 * row["value"])
    clean = next((own for (attack, _), own in kept.items() if attack == "none"), {})
    panels = []
    for attack, norm in sorted((key for key in kept if key[0] in ("pgd", "fgsm", "noise")), key=_attack_order):
        certified = kept.get(("certified", norm), {}) if attack == "pgd" else {}
        panels.append(_accuracies(study, attack, norm, kept[attack, norm], clean, certified))
    return panels


Curves = dict[str, dict[float, list[float]]]


def _accuracies(study: Study, attack: str, norm: str, own: Curves, clean: Curves, certified: Curves) -> Panel:
    arms = [arm for arm in study.arms if arm in own]
    right = WIDTH - 12 - max(width_of(arm_words(arm), _BOLD) for arm in arms)
    largest = max(epsilon for curve in own.values() for epsilon in curve)
    plot = Plot(Scale(0, largest or 1.0, 40, right), Scale(0, 100, 205, 26))
    title = attack_words(attack, norm)
    what = "standard deviation of the noise" if attack == "noise" else f"\u03b5, {norm_words(norm)} distance"
    drawn, ends = [plot.axes(what, "accuracy, % of rows", 4)], []
    for arm in arms:
        kind, points = study.colour(arm), {**own[arm]}
        points.setdefault(0.0, clean.get(arm, {}).get(0.0, []))
        line = [(e, *mean_interval(points[e])) for e in sorted(points) if points[e]]
        marks = []
        if max(len(values) for values in points.values()) > 1:
            band = [(e, max(low, 0), min(high, 100)) for e, _, low, high in line]
            marks.append(tag("path", class_=f"band a{kind}", d=plot.band(band)))
        marks.append(
            tag(
                "path",
                class_=f"line a{kind}",
                d=plot.path([(e, m) for e, m, *_ in line]),
                stroke_dasharray=DASHES[kind],
            )
        )
        marks += [
            mark(
                kind,
                plot.x.at(e),
                plot.y.at(m),
                2.8,
                f"{arm_words(arm)}, \u03b5 {number(e)}: {number(m)}%",
                class_=f"dot a{kind}",
            )
            for e, m, *_ in line
        ]
        if arm in certified:
            sure = [(e, mean_interval(v)[0]) for e, v in sorted(certified[arm].items()) if e <= largest]
            if any(m > 0 for e, m in sure if e > 0):
                marks.append(
                    tag("path", pointed(f"{arm_words(arm)}, certified"), class_=f"sure a{kind}", d=plot.path(sure))
                )
        drawn.append(tag("g", *marks, class_="arm", data_arm=kind))
        ends.append((plot.y.at(line[-1][1]), arm, kind))
    for (_, arm, kind), y in zip(ends, apart([e[0] for e in ends], 13, 30, 200), strict=True):
        drawn.append(text(right + 7, y + 4, arm_words(arm), class_=f"label a{kind}", data_arm=kind))
    note = "Dotted: what no attack whatever can take." if certified else ""
    return Panel(title, chart(f"Accuracy against size, {title}, {len(arms)} arms", *drawn, height=242), note)


def _attack_order(key: tuple[str, str]) -> tuple[int, int]:
    attack, norm = key
    return ("l2", "linf").index(norm) if norm in ("l2", "linf") else 2, ("pgd", "fgsm", "noise").index(attack)


def _few(pairs: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """At most so many, evenly taken."""
    if len(pairs) <= _MOST_MARKS:
        return pairs
    return [pairs[n * len(pairs) // _MOST_MARKS] for n in range(_MOST_MARKS)]


def _values(study: Study, arm: str, metric: str) -> list[float]:
    factor = measure_of(metric).factor
    found = (factor * trial.metric(metric) for trial in study.compared if trial.arm == arm)
    return [value for value in found if math.isfinite(value)]


def _ends(row: object) -> list[float]:
    assert isinstance(row, dict)
    return [row[name] for name in ("low", "high", "difference") if row[name] is not None and math.isfinite(row[name])]


def _label_room(arms: Sequence[str]) -> float:
    return 16 + max(width_of(arm_words(arm)) for arm in arms)


def _with_unit(label: str, unit: str) -> str:
    return f"{label}, {unit}" if unit else label


def _short_metric(metric: str) -> str:
    return measure_of(metric).label.rsplit(" ", 1)[0]
