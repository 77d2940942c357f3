"""What the article about codecs shows of an experiment, read from the lake.

Here belongs gathering; charts are in ``panels``, the page in ``article``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panic_assets.codec.comparing import OURS, RIVALS, Row
from panic_assets.codec.rates import COMPARISONS, RATES, NotMeasured, rows_of, told_of
from panic_assets.codec.verdicts import Verdict
from panic_assets.lake import Lake

CURVES = (OURS, *RIVALS)
"""Codecs with a curve, in the order of their colours."""
SHOWN_FIRST = ("ms_ssim", "drift", "psnr", "ssim")
"""Measures in the order of the charts: what this laboratory cares for comes first."""


@dataclass(frozen=True)
class Measured:
    """Rates and verdicts of one experiment; both are empty where ``why_not`` says why."""

    experiment: str
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    pictures: int
    of: int
    embedding_model: str
    why_not: str

    def curve(self, codec: str) -> list[Row]:
        """Lossy rows of a codec, by rising quality."""
        own = [row for row in self.rows if row.codec == codec and row.quality is not None]
        return sorted(own, key=lambda row: row.quality or 0)

    @property
    def in_order(self) -> list[Row]:
        """All rows: codec by codec as in the charts, each by rising quality, what loses nothing at the end."""
        lossless = sorted((row for row in self.rows if row.quality is None), key=lambda row: row.byte_size)
        return [row for codec in CURVES for row in self.curve(codec)] + lossless


def measured_in(lake: Lake, experiment: str) -> Measured:
    """What the lake holds of codecs on an experiment's pictures.

    Raises:
        NotMeasured: nothing was ever measured.
        LakeError: a table can't be read.
    """
    sample = told_of(lake, experiment)
    models = lake.read(RATES, experiment, columns=["embedding_model"]).column(0).to_pylist()
    found = lake.read(COMPARISONS, experiment).to_pylist()
    verdicts = (Verdict(**{name: value for name, value in row.items() if name != "experiment"}) for row in found)
    return Measured(
        experiment,
        tuple(rows_of(lake, experiment)),
        tuple(sorted(verdicts, key=_place)),
        len(sample.hashes),
        sample.of,
        models[0] if models else "",
        sample.why_not,
    )


def measured_experiments(lake: Lake) -> list[str]:
    """Experiments whose pictures codecs were tried on, by name."""
    return [name for name in lake.experiments(RATES) if _is_measured(lake, name)]


def report_path(data: Path, experiment: str) -> Path:
    """Where the page of an experiment lies; a name of an experiment has no dot, so that it is nobody else's."""
    return data / "reports" / f"{experiment}.codec.html"


def facts_of(measured: Measured) -> list[tuple[str, str]]:
    """What the numbers are of, as (name, value)."""
    found: list[tuple[str, Any]] = [
        ("pictures", f"{measured.pictures} of {measured.of:,}"),
        ("drift measured by", measured.embedding_model),
    ]
    boxes = _container(measured.curve("AVIF"))
    return [*found, *([("AVIF's own boxes, bytes in every file", boxes)] if boxes else [])]


def _container(rows: Sequence[Row]) -> str:
    sizes = {round(row.byte_size - row.payload_size) for row in rows}
    return "" if not sizes else f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"


def _is_measured(lake: Lake, experiment: str) -> bool:
    try:
        told_of(lake, experiment)
    except NotMeasured:
        return False
    return True


def _place(verdict: Verdict) -> tuple[int, int, str]:
    """Rivals in the order of their colours, measures in that of the charts."""
    return CURVES.index(verdict.against), SHOWN_FIRST.index(verdict.measure), verdict.counted
