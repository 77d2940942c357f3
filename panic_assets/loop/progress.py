"""How far an experiment is: numbers for whoever watches.

Here belongs no torch and no lake, so that anything can show them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """How far an experiment is, in invocations. ``total`` shrinks when runs end before their maximum length.

    ``resumed`` were there at the start; ``computed`` counts shared work once.
    """

    done: int = 0
    total: int = 0
    resumed: int = 0
    computed: int = 0
    network: str = ""
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Invocations done in a second since the start, loading of models apart."""
        return (self.done - self.resumed) / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the rate so far; None while nothing was done."""
        return (self.total - self.done) / self.rate if self.rate else None
