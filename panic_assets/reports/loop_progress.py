"""How far the loops of experiments are: runs that ended, and why; invocations that are there, and still to come.

Here belongs what rows say of runs, by the rules that the engine ends them by. No picture and no vector is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from panic_assets.experiment import UNSEEDED, Experiment
from panic_assets.loop.planning import ARROW
from panic_assets.models.registry import ModelEntry

#: Tables that `loops` reads.
TABLES = ("runs", "invocations", "outcomes")
_FAILED = "failed"

_RUNS = """
    WITH made AS (
        SELECT experiment, run_number, count(*) AS made, histogram(type) AS media,
               arg_max(len(flags), sequence_number) > 0 AS is_flagged
        FROM invocations WHERE list_contains($names, experiment) GROUP BY ALL)
    SELECT r.experiment, r.run_number, r.models, r.prompt, r.seed, r.replicate, r.max_length, coalesce(m.made, 0),
           coalesce(m.media, MAP {}), coalesce(m.is_flagged, false), o.stop_reason, o.length
    FROM runs_only r LEFT JOIN made m USING (experiment, run_number) LEFT JOIN outcomes o USING (experiment, run_number)
    WHERE list_contains($names, r.experiment) ORDER BY ALL
"""
# A run that stops at a cycle stops at its first repeat, so that its last output alone can be one.
_REPEATED = """
    WITH asked AS (SELECT unnest($experiments) AS experiment, unnest($runs) AS run_number, unnest($rings) AS ring),
         own AS (SELECT i.experiment, i.run_number, i.sequence_number, i.text, a.ring,
                        coalesce(i.image_hash, i.audio_hash) AS hash
                 FROM invocations i JOIN asked a USING (experiment, run_number)),
         last AS (SELECT experiment, run_number, max(sequence_number) AS sequence_number, any_value(ring) AS ring,
                         arg_max(struct_pack(text := text, hash := hash), sequence_number) AS output
                  FROM own GROUP BY ALL)
    SELECT DISTINCT o.experiment, o.run_number FROM own o JOIN last l USING (experiment, run_number)
    WHERE o.sequence_number < l.sequence_number AND (l.sequence_number - o.sequence_number) % l.ring = 0
      AND o.text IS NOT DISTINCT FROM l.output.text AND o.hash IS NOT DISTINCT FROM l.output.hash
"""


@dataclass(frozen=True)
class RunProgress:
    """One run. ``made``: its invocations, ``media`` how many are of which. ``target``: how many in the end, at most.

    ``reason`` is None while it is to go on. A run of a file that was not planned yet has ``number`` -1.
    """

    number: int
    models: tuple[str, ...]
    made: int
    media: Mapping[str, int]
    target: int
    reason: str | None

    @property
    def to_come(self) -> range:
        """Sequence numbers of the invocations that are still to be made, at most."""
        return range(self.made, self.made if self.reason else max(self.target, self.made))


@dataclass(frozen=True)
class LoopProgress:
    """All runs of an experiment."""

    runs: tuple[RunProgress, ...] = ()

    @property
    def ended(self) -> int:
        """Runs that are over, failed ones among them."""
        return sum(run.reason is not None for run in self.runs)

    @property
    def made(self) -> int:
        """Invocations that the lake holds."""
        return sum(run.made for run in self.runs)

    @property
    def total(self) -> int:
        """Invocations in the end: of a run that ended those that it has, of others as many as it may have."""
        return sum(run.made + len(run.to_come) for run in self.runs)

    @property
    def reasons(self) -> dict[str, int]:
        """Runs by why they ended, the most frequent first."""
        return dict(Counter(run.reason for run in self.runs if run.reason).most_common())

    @property
    def failed(self) -> int:
        """Runs that failed; the next call of `panic run` tries them again."""
        return self.reasons.get(_FAILED, 0)


@dataclass(frozen=True)
class _Row:
    """A run as the lake holds it."""

    experiment: str
    number: int
    models: tuple[str, ...]
    prompt: str
    seed: int
    replicate: int
    max_length: int
    made: int
    media: Mapping[str, int]
    is_flagged: bool
    stop_reason: str | None
    length: int | None

    @property
    def key(self) -> tuple[str, str, int, int]:
        return (ARROW.join(self.models), self.prompt, self.seed, self.replicate)


@dataclass
class _Rules:
    """What ends the runs of an experiment: its file's settings; without a file, those of the lake."""

    asked: Experiment | None
    models: Mapping[str, ModelEntry]
    planned: set[tuple[str, str, int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.planned = set(_planned(self.asked)) if self.asked else set()

    def target(self, row: _Row) -> int:
        """Length at which a run stops; one that the file names no more stays as it is."""
        if self.asked is None:
            return row.max_length
        return self.asked.max_length if row.key in self.planned else row.made

    def reason(self, row: _Row) -> str | None:
        """Why a run is over, as far as its last row and its outcome tell; None if they don't."""
        is_told = row.stop_reason is not None and row.length == row.made
        if self.asked is not None and self.asked.imported_from:
            return row.stop_reason or "unknown"
        if is_told and (row.stop_reason == _FAILED or self._stops_by(str(row.stop_reason))):
            return row.stop_reason
        if row.made >= self.target(row):
            return row.stop_reason if is_told else "length"
        if row.is_flagged and self.asked is not None and self.asked.quality == "stop":
            return "quality"
        return None

    def _stops_by(self, reason: str) -> bool:
        """Whether the settings, as they are now, end a run for that reason before its length."""
        if self.asked is None:
            return reason in ("cycle", "quality")
        return {"cycle": self.asked.cycle, "quality": self.asked.quality}.get(reason) == "stop"

    def may_cycle(self, row: _Row) -> bool:
        """Whether a repeat would end the run: it stops at cycles, and its models repeat themselves."""
        if row.made < 2 or (self.asked is not None and self.asked.cycle != "stop"):
            return False
        behaviours = {self.models[name].seed_behaviour for name in row.models if name in self.models}
        return "none" not in behaviours and (row.seed != UNSEEDED or behaviours == {"deterministic"})


def loops(
    connection: duckdb.DuckDBPyConnection,
    experiments: Mapping[str, Experiment | None],
    models: Mapping[str, ModelEntry],
) -> dict[str, LoopProgress]:
    """How far each experiment is; ``experiments`` gives the content of its file, if it has one.

    ``connection`` shows at least `TABLES`; ``models`` are the entries of the registry.
    """
    rules = {name: _Rules(asked, models) for name, asked in experiments.items()}
    found = connection.execute(_RUNS, {"names": list(experiments)}).fetchall()
    rows = [_Row(row[0], row[1], tuple(row[2]), *row[3:]) for row in found]
    reasons = {(row.experiment, row.number): rules[row.experiment].reason(row) for row in rows}
    open_ones = [
        row for row in rows if not reasons[row.experiment, row.number] and rules[row.experiment].may_cycle(row)
    ]
    reasons |= dict.fromkeys(_repeated(connection, open_ones), "cycle")
    runs: dict[str, list[RunProgress]] = {name: [] for name in experiments}
    there: dict[str, set[tuple[str, str, int, int]]] = {name: set() for name in experiments}
    for row in rows:
        target, reason = rules[row.experiment].target(row), reasons[row.experiment, row.number]
        runs[row.experiment].append(RunProgress(row.number, row.models, row.made, row.media, target, reason))
        there[row.experiment].add(row.key)
    for name, asked in experiments.items():
        if asked is not None and not asked.imported_from:
            new = (key for key in _planned(asked) if key not in there[name])
            runs[name] += [RunProgress(-1, tuple(key[0].split(ARROW)), 0, {}, asked.max_length, None) for key in new]
    return {name: LoopProgress(tuple(progress)) for name, progress in runs.items()}


def _repeated(connection: duckdb.DuckDBPyConnection, rows: Sequence[_Row]) -> Iterable[tuple[str, int]]:
    """Those whose last output is one that they gave before, at the same place in the ring."""
    if not rows:
        return []
    values = {
        "experiments": [row.experiment for row in rows],
        "runs": [row.number for row in rows],
        "rings": [len(row.models) for row in rows],
    }
    return [(name, number) for name, number in connection.execute(_REPEATED, values).fetchall()]


def _planned(asked: Experiment) -> Iterable[tuple[str, str, int, int]]:
    """(network, prompt, seed, replicate) of every run that a file asks for."""
    if asked.imported_from:
        return
    for network in asked.networks:
        for prompt in asked.prompts:
            unseeded = 0
            for seed in asked.seeds:
                yield ARROW.join(network), prompt.text, seed, unseeded if seed == UNSEEDED else 0
                unseeded += seed == UNSEEDED
