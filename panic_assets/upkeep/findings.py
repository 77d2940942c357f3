"""What an examination found: findings, what was looked at, and both as JSON.

Here belong the shapes and their words; finding belongs to the neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

#: broken: it is wrong; to_do: it is not there yet, and a run makes it; hint: worth knowing, nothing is wrong.
Severity: TypeAlias = Literal["broken", "to_do", "hint"]
SEVERITIES: tuple[Severity, ...] = ("broken", "to_do", "hint")
EXAMPLES = 5
Place: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class Finding:
    """One rule that something breaks.

    ``table`` is empty, and ``experiment`` None, where no such thing is concerned. ``count`` are rows, or files.
    ``bad`` is all that mending must know: names of files, or keys of rows.
    """

    rule: str
    severity: Severity
    message: str
    remedy: str
    table: str = ""
    experiment: str | None = None
    path: Path | None = None
    count: int = 1
    examples: tuple[Mapping[str, Any], ...] = ()
    bad: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def place(self) -> Place:
        """Table and experiment."""
        return self.table, self.experiment

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        names = ("rule", "severity", "table", "experiment", "count", "message", "remedy")
        return {name: getattr(self, name) for name in names} | {
            "path": str(self.path) if self.path else None,
            "examples": [dict(example) for example in self.examples],
        }


@dataclass(frozen=True)
class Examined:
    """How much was looked at; ``bytes`` of all parts, whose every byte was read unless the look was a quick one."""

    experiments: int = 0
    tables: int = 0
    partitions: int = 0
    parts: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Examination:
    """The state of a lake, or of one ``experiment`` in it. ``being_written``: experiments with a living writer."""

    data: Path
    experiment: str | None
    quick: bool
    findings: tuple[Finding, ...]
    examined: Examined
    being_written: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is broken; there may be things to do."""
        return not self.of("broken")

    def of(self, severity: Severity) -> list[Finding]:
        """The findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "data": str(self.data),
            "experiment": self.experiment,
            "quick": self.quick,
            "is_sound": self.is_sound,
            "being_written": dict(self.being_written),
            "examined": dict(vars(self.examined)),
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def as_json(self) -> str:
        """One JSON document."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False, default=str)


@dataclass
class Pace:
    """How far an examination is, in ``bytes`` of parts; ``seconds_left`` is None while it can't be told."""

    doing: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Bytes in a second."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Until all parts are read, at this rate."""
        return (self.total - self.done) / self.rate if self.rate else None


OnProgress: TypeAlias = Callable[[Pace], None]
