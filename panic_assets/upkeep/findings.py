"""What an examination found: findings, what was looked at, and both as JSON.

Here belong the shapes and their words; finding belongs to the neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from panic_assets.lake.schemas import TABLES
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY, owner

#: broken: it is wrong; to_do: it is not there yet, and a run makes it; hint: worth knowing, nothing is wrong.
Severity: TypeAlias = Literal["broken", "to_do", "hint"]
SEVERITIES: tuple[Severity, ...] = ("broken", "to_do", "hint")
EXAMPLES = 5
#: (table, key of the partition)
Place: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class Finding:
    """One rule that something breaks.

    ``table`` is empty, and ``experiment`` and ``study`` None, where no such thing is concerned. ``count`` are rows, or
    files.
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
    study: str | None = None

    @property
    def place(self) -> Place:
        """Table and key of the partition."""
        return self.table, self.experiment if self.study is None else self.study

    @property
    def owner(self) -> str | None:
        """Whose it is: an experiment (``demo``), a study (``study=demo``), or None: everybody's."""
        return self.experiment if self.study is None else owner(STUDY_KEY, self.study)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        names = ("rule", "severity", "table", "experiment", "study", "count", "message", "remedy")
        return {name: getattr(self, name) for name in names} | {
            "path": str(self.path) if self.path else None,
            "examples": [dict(example) for example in self.examples],
        }


def owner_of(place: Place) -> str | None:
    """Whose a partition is: an experiment's (``demo``), a study's (``study=demo``), or None: everybody's."""
    table, key = place
    return None if key is None else owner(TABLES[table].partition or EXPERIMENT_KEY, key)


def about(place: Place, finding: Finding) -> Finding:
    """The finding, said of a partition."""
    table, key = place
    is_study = TABLES[table].of_study
    return replace(finding, table=table, experiment=None if is_study else key, study=key if is_study else None)


@dataclass(frozen=True)
class Examined:
    """How much was looked at; ``bytes`` of all parts, whose every byte was read unless the look was a quick one."""

    experiments: int = 0
    studies: int = 0
    tables: int = 0
    partitions: int = 0
    parts: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Examination:
    """The state of a lake, or of one ``experiment`` or ``study`` in it.

    ``being_written``: experiments and studies (``study=<key>``) with a living writer, and its process.
    """

    data: Path
    experiment: str | None
    quick: bool
    findings: tuple[Finding, ...]
    examined: Examined
    being_written: Mapping[str, int] = field(default_factory=dict)
    study: str | None = None

    @property
    def owner(self) -> str | None:
        """Who alone was examined, as `Finding.owner`; None for the whole lake."""
        return self.experiment if self.study is None else owner(STUDY_KEY, self.study)

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
            "study": self.study,
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
