"""Why an imported run ended: by the rule of its source, and by ours.

Here belongs what follows from a run's sound outputs, in order. The source stops a seeded run when two hashes of outputs
agree, and hashes a lossy encoding of pictures; a true cycle is a repeat of exact pixels or text at the same place in
the ring, which lossless pictures alone can show.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from panic_assets.experiment import UNSEEDED
from panic_assets.interop.panic_tda.pictures import Picture
from panic_assets.interop.panic_tda.records import Era, SourceRun
from panic_assets.loop.cycles import Cycle, CycleDetector


@dataclass
class Ending:
    """Watches the outputs of one run; ``era`` is that of its source."""

    run: SourceRun
    era: Era
    length: int = 0
    _hashes: dict[bytes, int] = field(default_factory=dict)
    _loop: tuple[int, int] | None = None  # where the source's first repeat ends, and how long it is
    _cycle: Cycle | None = None
    _is_exact: bool = True

    def __post_init__(self) -> None:
        self._detector = CycleDetector(len(self.run.network))

    @property
    def is_seeded(self) -> bool:
        """Whether the run repeats when it is run again, and so can have a true cycle."""
        return self.run.seed is not None and self.run.seed != UNSEEDED

    @property
    def is_judged(self) -> bool:
        """Whether the source stopped the run at the first repeat of a hash; later generations did not."""
        return self.is_seeded and self.era == "python"

    def watch(self, text: str | None, picture: Picture | None) -> None:
        """Take the next output."""
        if self.is_judged:
            self._watch_hash(text, picture)
        if self.is_seeded:
            self._is_exact &= picture is None or picture.is_lossless
            key = picture.image_hash if picture else text or ""
            if self._cycle is None:
                self._cycle = self._detector.watch(self.length, key)
        self.length += 1

    def _watch_hash(self, text: str | None, picture: Picture | None) -> None:
        if self._loop is not None:
            return
        lossy = picture.lossy_hash if picture else hashlib.sha256((text or "").encode()).digest()
        if lossy is None:
            return
        before = self._hashes.setdefault(lossy, self.length)
        if before != self.length:
            self._loop = (self.length, self.length - before)

    @property
    def cycle(self) -> Cycle | None:
        """The first true cycle; None also where pictures are lossy and can't show one."""
        return self._cycle if self._is_exact else None

    def stop_reason(self) -> str:
        """``cycle``, ``length``, ``duplicate`` or ``unknown``: what explains the end of what was imported."""
        last = self.length - 1
        if self.cycle and self.cycle.transient + self.cycle.length == last:
            return "cycle"
        if self.length >= self.run.max_length:
            return "length"
        return "duplicate" if self._loop and self._loop[0] == last else "unknown"

    def source_stop(self, rejected: int) -> tuple[str, int | None]:
        """Stop reason by the source's rule, and the length of the loop that it saw; ``rejected`` rows are not here."""
        if self.length == self.run.max_length and not rejected:
            return "length", None
        return ("duplicate", self._loop[1]) if self._loop else ("unknown", None)
