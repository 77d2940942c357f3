"""What earlier runs were like: how long they went on, how much of what they gave was new, how large pictures are.

Here belongs reading that out of the lake. A plan that knows nothing of earlier runs takes every run to go on to its
full length, which is the most that it can cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from panic_assets.experiment import UNSEEDED
from panic_assets.lake import Lake
from panic_assets.loop.planning import RunPlan

_Kind = tuple[str, bool, int]  # network, seeded, maximum length
_ENDED = ("length", "cycle", "quality")


@dataclass(frozen=True)
class Earlier:
    """Of runs that the lake holds.

    ``lengths``: invocations of finished runs, in rising order, by network, whether seeded, and maximum length.
    ``distinct``: by medium, distinct outputs for each output. ``bytes_per_pixel``: of pictures, by format.
    """

    lengths: dict[_Kind, list[int]] = field(default_factory=dict)
    distinct: dict[str, float] = field(default_factory=dict)
    bytes_per_pixel: dict[str, float] = field(default_factory=dict)

    def lengths_of(self, plans: Sequence[RunPlan]) -> dict[int, int]:
        """A length for each run of a kind that was run before, by run number; others are left out.

        Runs of a kind get lengths spread as those of the earlier ones are.
        """
        alike: defaultdict[_Kind, list[RunPlan]] = defaultdict(list)
        for plan in plans:
            alike[plan.network, plan.is_seeded, plan.max_length].append(plan)
        found: dict[int, int] = {}
        for kind, members in alike.items():
            known = self.lengths.get(kind, [])
            for place, plan in enumerate(members if known else ()):
                found[plan.run_number] = known[(2 * place + 1) * len(known) // (2 * len(members))]
        return found


def earlier_runs(lake: Lake, experiment: str) -> Earlier:
    """What the lake holds: lengths and pictures of all experiments, distinct outputs of the one of that name."""
    return Earlier(_lengths(lake), _distinct(lake, experiment), _bytes_per_pixel(lake))


def _lengths(lake: Lake) -> dict[_Kind, list[int]]:
    lengths: defaultdict[_Kind, list[int]] = defaultdict(list)
    for experiment in lake.experiments("outcomes"):
        outcomes = pl.DataFrame(
            lake.read("outcomes", experiment, columns=["run_number", "stop_reason", "length"])
        ).filter(pl.col("stop_reason").is_in(_ENDED))
        runs = pl.DataFrame(lake.read("runs", experiment, columns=["run_number", "network", "seed", "max_length"]))
        for row in outcomes.join(runs, on="run_number").iter_rows(named=True):
            lengths[row["network"], row["seed"] != UNSEEDED, row["max_length"]].append(row["length"])
    return {kind: sorted(found) for kind, found in lengths.items()}


def _distinct(lake: Lake, experiment: str) -> dict[str, float]:
    if experiment not in lake.experiments("invocations"):
        return {}
    rows = pl.DataFrame(lake.read("invocations", experiment, columns=["type", "text", "image_hash"]))
    shares = rows.group_by("type").agg(share=pl.struct("text", "image_hash").n_unique() / pl.len())
    return {str(medium): float(share) for medium, share in shares.iter_rows()}


def _bytes_per_pixel(lake: Lake) -> dict[str, float]:
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for experiment in lake.experiments("images"):
        columns = ["format", "width", "height", "byte_size"]
        rows = pl.DataFrame(lake.read("images", experiment, columns=columns))
        pixels = pl.col("width").cast(pl.Int64) * pl.col("height")
        found = rows.group_by("format").agg(pl.sum("byte_size"), pixels=pixels.sum())
        for image_format, size, count in found.iter_rows():
            sums[image_format][0] += size
            sums[image_format][1] += count
    return {image_format: size / count for image_format, (size, count) in sums.items() if count}
