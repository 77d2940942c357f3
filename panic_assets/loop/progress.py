"""How far an experiment is: numbers for whoever watches.

Here belongs no torch and no lake, so that anything can show them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """How far an experiment is, in invocations. ``total`` shrinks when runs end before their maximum length.

    ``resumed`` were there at the start; ``computed`` counts shared work once. ``seconds`` since the start, and
    ``seconds_left`` as estimated from what the models took so far; None while that can't be told.
    """

    done: int = 0
    total: int = 0
    resumed: int = 0
    computed: int = 0
    network: str = ""
    seconds: float = 0.0
    seconds_left: float | None = None

    @property
    def rate(self) -> float:
        """Invocations done in a second since the start."""
        return (self.done - self.resumed) / self.seconds if self.seconds else 0.0
