"""The doctor: examining a lake, or one experiment in it, and mending what is broken.

Here belongs the order of an examination. What is looked for is in ``survey`` (files), ``contents`` (pictures and runs)
and ``truths`` (rules); what is done about it in ``plan`` and ``mending``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb

from panic_assets.errors import PanicError
from panic_assets.lake import TABLES, Lake
from panic_assets.lake.catalog import connect_to
from panic_assets.lake.locks import holder_of
from panic_assets.lake.manifest import Manifest
from panic_assets.lake.removal import deletions
from panic_assets.lake.rules import Rule, judge
from panic_assets.lake.schemas import TableSpec
from panic_assets.lake.writer import LOCK
from panic_assets.upkeep import contents
from panic_assets.upkeep.findings import EXAMPLES, Examination, Examined, Finding, OnProgress, Pace, Place, Severity
from panic_assets.upkeep.marks import MARKED, true_marks, untrue
from panic_assets.upkeep.mending import Mended, OnStep, carry_out
from panic_assets.upkeep.partial import PartialLake
from panic_assets.upkeep.plan import plan_mending
from panic_assets.upkeep.remedies import ANALYSED
from panic_assets.upkeep.stages import to_do
from panic_assets.upkeep.surroundings import surroundings
from panic_assets.upkeep.survey import AGAIN, Surveyed, survey
from panic_assets.upkeep.truths import (
    HINTS,
    OF_EXPERIMENT,
    OF_LAKE,
    PARTITIONED,
    SHARED,
    Judged,
    null_keys,
    repeated_keys,
)


class NothingToExamine(PanicError):
    """There is no lake, or no such experiment in it."""


def examine(
    data: Path, experiment: str | None = None, quick: bool = False, on_progress: OnProgress | None = None
) -> Examination:
    """Look at all that a data directory holds, or at one experiment; nothing is changed.

    ``quick`` leaves out checksums and the decoding of pictures. An experiment with a living writer has its files
    examined, and not whether its tables agree.

    Raises:
        NothingToExamine: there is no such folder or experiment.
    """
    return _Examiner(Path(data).absolute(), experiment, quick, on_progress).examine()


def mend(data: Path, examination: Examination, on_progress: OnStep | None = None) -> Mended:
    """Mend what an examination found; see `mending.carry_out`.

    Raises:
        LakeError: the lake can't be read or written, or was changed since.
    """
    if Path(data).absolute() != examination.data:
        raise NothingToExamine(f"the examination is of {examination.data}, not of {data}")
    return carry_out(plan_mending(examination), on_progress)


class _Examiner:
    def __init__(self, data: Path, experiment: str | None, quick: bool, on_progress: OnProgress | None) -> None:
        self._data, self._only, self._quick = data, experiment, quick
        self._tell = on_progress or (lambda pace: None)
        self._lake = Lake(data / "lake")
        self._started = time.perf_counter()
        self._pace = Pace()
        self._findings: list[Finding] = []

    def examine(self) -> Examination:
        if not self._data.is_dir():
            raise NothingToExamine(f"there is no data directory {self._data}; PANIC_DATA names it")
        going = deletions(self._lake.root)
        places = [place for place in self._lake.places() if not going.get(place[1] or "")]
        names = sorted({key for _, key in places if key is not None})
        if self._only is not None:
            places = [place for place in places if place[1] in (self._only, None)]
            if self._only not in names and self._only not in going:
                known = ", ".join(names[:12]) or "none"
                raise NothingToExamine(
                    f"the lake at {self._lake.root} has no experiment {self._only!r}; there are: {known}"
                )
        surveyed = self._survey(places)
        self._findings += surroundings(self._data, self._lake, self._only, names, going)
        writing = self._being_written(surveyed)
        manifests = {place: one.manifest for place, one in surveyed.items() if one.manifest is not None}
        for name in sorted({key for _, key in surveyed if key is not None and key not in writing}):
            self._report(f"rules of {name}")
            found = list(self._experiment(name, manifests, surveyed))
            if self._has_changed(name, surveyed):
                writing[name] = 0
            else:
                self._findings += found
        self._report("clusters")
        self._findings += self._shared(manifests, set(writing))
        self._findings += [_writing(name, process) for name, process in sorted(writing.items()) if name]
        seconds = time.perf_counter() - self._started
        parts = [part for one in surveyed.values() for part in one.all_parts]
        examined = Examined(
            len({key for _, key in surveyed if key is not None}),
            len({table for table, _ in surveyed}),
            len(surveyed),
            len(parts),
            sum(part.rows for part in parts),
            sum(part.bytes for part in parts),
            round(seconds, 3),
        )
        ordered = sorted(self._findings, key=lambda f: (f.experiment or "", f.severity, f.table, f.rule))
        return Examination(self._data, self._only, self._quick, tuple(ordered), examined, writing)

    def _survey(self, places: list[Place]) -> dict[Place, Surveyed]:
        self._pace.total = sum(
            entry.stat().st_size
            for place in places
            for entry in os.scandir(self._lake.folder(*place))
            if entry.name.endswith(".parquet")
        )
        found = {}
        for table, key in places:
            self._report(f"{table} of {key}" if key else table)
            found[table, key] = survey(self._lake, table, key, self._quick, self._read)
            self._findings += found[table, key].findings
        return found

    def _read(self, size: int) -> None:
        self._pace.done += size
        self._report(self._pace.doing)

    def _report(self, doing: str) -> None:
        self._pace.doing, self._pace.seconds = doing, time.perf_counter() - self._started
        self._tell(self._pace)

    def _being_written(self, surveyed: Mapping[Place, Surveyed]) -> dict[str, int]:
        """Experiments with a living writer, "" for the tables of the whole lake, and its process (0: unknown)."""
        found = {}
        for (table, key), one in surveyed.items():
            if one.writer is None:
                continue
            found[key or ""] = one.writer
            if one.writer and not _is_alive(one.writer):
                message = f"the lock is held, but process {one.writer} that took it is gone"
                remedy = "end the child of it that still holds the lock, or the container that it runs in"
                self._findings.append(
                    Finding("locks_are_of_the_living", "hint", message, remedy, table, key, one.folder / LOCK)
                )
        return found

    def _has_changed(self, name: str, surveyed: Mapping[Place, Surveyed]) -> bool:
        """Whether somebody wrote into an experiment while it was examined."""
        for (table, key), one in surveyed.items():
            if key != name or one.manifest is None:
                continue
            if self._lake.generation(table, key) != one.manifest.generation or holder_of(one.folder / LOCK) is not None:
                return True
        return False

    def _experiment(
        self, name: str, manifests: Mapping[Place, Manifest], surveyed: Mapping[Place, Surveyed]
    ) -> Iterator[Finding]:
        own = {place: manifest for place, manifest in manifests.items() if place[1] in (name, None)}
        with connect_to(PartialLake(self._lake.root, own)) as connection:
            for spec in PARTITIONED:
                if (spec.name, name) not in own:
                    continue
                yield from self._generic(connection, spec, name)
            is_analysed = any((table, name) in own for table in ANALYSED)
            for judged in OF_EXPERIMENT:
                if is_analysed or judged.rule.asset in TABLES:  # the assets of analyses are no tables
                    yield from self._judge(connection, judged, name)
            yield from self._marks(connection, name, own)
            yield from contents.runs(connection, name)
            yield from to_do(connection, name, own)
        pictures = surveyed.get(("images", name))
        if pictures is not None and not self._quick:
            self._report(f"pictures of {name}")
            yield from contents.pictures(pictures)

    def _generic(self, connection: duckdb.DuckDBPyConnection, spec: TableSpec, name: str | None) -> Iterator[Finding]:
        for rule, meaning, query in (
            ("values_are_not_null", "no value is null but where the table admits it", null_keys(spec)),
            ("keys_are_unique", f"({', '.join(spec.key)}) comes once", repeated_keys(spec)),
        ):
            yield from self._judge(connection, Judged(Rule(rule, spec.name, meaning, query, False), None), name)

    def _judge(
        self, connection: duckdb.DuckDBPyConnection, judged: Judged, name: str | None, where: str = ""
    ) -> Iterator[Finding]:
        rule = judged.rule
        worst: Severity = "hint" if rule.name in HINTS else "broken"
        for severity, is_broken in ((worst, True), ("to_do", False)):
            if not is_broken and judged.unfinished is None:
                continue
            query = f"SELECT * FROM ({judged.select(is_broken)}){where}"
            try:
                verdict = judge(connection, Rule(rule.name, rule.asset, rule.meaning, query, rule.of_experiment), name)
            except duckdb.Error as error:
                message = f"can't be judged: {str(error).splitlines()[0]}"
                yield Finding(
                    rule.name, "broken", message, "mend what else is broken, then examine again", rule.asset, name
                )
                return
            if not verdict.holds:
                remedy = _REMEDIES[severity].format(name=name or "EXPERIMENT")
                yield Finding(
                    rule.name,
                    severity,
                    rule.meaning,
                    remedy,
                    rule.asset,
                    name,
                    None,
                    verdict.count,
                    tuple(verdict.examples[:EXAMPLES]),
                )

    def _marks(
        self, connection: duckdb.DuckDBPyConnection, name: str, manifests: Mapping[Place, Manifest]
    ) -> Iterator[Finding]:
        for table in MARKED:
            manifest = manifests.get((table, name))
            if manifest is None:
                continue
            bad = untrue(manifest.properties, true_marks(connection, table, name, manifest.properties))
            if bad:
                message = "what is marked as done is there"
                remedy = f"{AGAIN} takes the marks back, so that a run makes it"
                examples = tuple({"mark": mark} for mark in bad[:EXAMPLES])
                yield Finding("marks_are_true", "broken", message, remedy, table, name, None, len(bad), examples)

    def _shared(self, manifests: Mapping[Place, Manifest], writing: set[str]) -> Iterator[Finding]:
        """Clusters: tables of the whole lake."""
        tables = {spec.name for spec in SHARED} | {"embeddings"}
        given = {place: manifest for place, manifest in manifests.items() if place[0] in tables}
        if "" in writing or not any(place[0] == "embeddings" or place[1] is None for place in given):
            return
        with connect_to(PartialLake(self._lake.root, given)) as connection:
            for spec in SHARED:
                yield from self._generic(connection, spec, None)
            for judged in OF_LAKE:
                named = judged.rule.name == "assignments_have_their_cluster"
                where = f" WHERE experiment = '{self._only}'" if named and self._only else ""
                yield from self._judge(connection, judged, None, where)
            missing = connection.execute(
                """SELECT experiment, count(*) FROM embeddings WHERE sequence_number >= 0
                   AND experiment NOT IN (SELECT experiment FROM cluster_assignments) GROUP BY ALL ORDER BY ALL"""
            ).fetchall()
            for name, count in missing:
                if name not in writing:
                    message, remedy = "embedded outputs have a cluster, or are outliers", f"panic run {name}"
                    yield Finding("points_are_clustered", "to_do", message, remedy, "clusters", name, None, count)


_REMEDIES = {
    "broken": f"{AGAIN} puts the rows aside, then `panic run {{name}}`",
    "to_do": "panic run {name}",
    "hint": "nothing need be done; a run may still come to use them",
}


def _writing(name: str, process: int) -> Finding:
    who = f"process {process}" if process else "another process"
    message = f"being written by {who}; its files were examined, not whether its tables agree"
    return Finding("is_being_written", "hint", message, "examine it again when that is over", "", name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
