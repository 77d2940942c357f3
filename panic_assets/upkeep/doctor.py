"""The doctor: examining a lake, or one experiment or study in it, and mending what is broken.

Here belongs the order of an examination. What is looked for is in ``survey`` (files), ``contents`` (pictures and runs)
and ``truths`` (rules); what is done about it in ``plan`` and ``mending``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from panic_assets.errors import PanicError
from panic_assets.lake import TABLES, Lake
from panic_assets.lake.catalog import connect_to
from panic_assets.lake.locks import holder_of
from panic_assets.lake.manifest import Manifest
from panic_assets.lake.removal import deletions, is_going
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY, owner
from panic_assets.lake.writer import LOCK
from panic_assets.upkeep import contents
from panic_assets.upkeep.findings import (
    EXAMPLES,
    Examination,
    Examined,
    Finding,
    OnProgress,
    Pace,
    Place,
    about,
    owner_of,
)
from panic_assets.upkeep.judging import generic, judged_by, study_findings
from panic_assets.upkeep.marks import MARKED, true_marks, untrue
from panic_assets.upkeep.mending import Mended, OnStep, carry_out
from panic_assets.upkeep.partial import PartialLake
from panic_assets.upkeep.plan import plan_mending
from panic_assets.upkeep.remedies import ANALYSED
from panic_assets.upkeep.stages import to_do
from panic_assets.upkeep.surroundings import surroundings
from panic_assets.upkeep.survey import AGAIN, Surveyed, survey
from panic_assets.upkeep.truths import (
    OF_EXPERIMENT,
    OF_LAKE,
    PARTITIONED,
    SHARED,
)


class NothingToExamine(PanicError):
    """There is no lake, or no such experiment or study in it."""


def examine(
    data: Path,
    experiment: str | None = None,
    quick: bool = False,
    on_progress: OnProgress | None = None,
    *,
    study: str | None = None,
) -> Examination:
    """Look at all that a data directory holds, or at one experiment, or at one study; nothing is changed.

    ``quick`` leaves out checksums and the decoding of pictures. What has a living writer has its files examined, and
    not whether its tables agree.

    Raises:
        NothingToExamine: there is no such folder, experiment or study, or both of them are named.
    """
    if experiment is not None and study is not None:
        raise NothingToExamine(f"name the experiment {experiment!r} or the study {study!r}, not both")
    return _Examiner(Path(data).absolute(), experiment, quick, on_progress, study).examine()


def mend(data: Path, examination: Examination, on_progress: OnStep | None = None) -> Mended:
    """Mend what an examination found; see `mending.carry_out`.

    Raises:
        LakeError: the lake can't be read or written, or was changed since.
    """
    if Path(data).absolute() != examination.data:
        raise NothingToExamine(f"the examination is of {examination.data}, not of {data}")
    return carry_out(plan_mending(examination), on_progress)


class _Examiner:
    def __init__(
        self, data: Path, experiment: str | None, quick: bool, on_progress: OnProgress | None, study: str | None
    ) -> None:
        self._data, self._experiment_only, self._study_only, self._quick = data, experiment, study, quick
        self._only = experiment if study is None else owner(STUDY_KEY, study)
        self._tell = on_progress or (lambda pace: None)
        self._lake = Lake(data / "lake")
        self._started = time.perf_counter()
        self._pace = Pace()
        self._findings: list[Finding] = []

    def examine(self) -> Examination:
        if not self._data.is_dir():
            raise NothingToExamine(f"there is no data directory {self._data}; PANIC_DATA names it")
        going = {kind: deletions(self._lake.root, kind) for kind in (EXPERIMENT_KEY, STUDY_KEY)}
        places = [p for p in self._lake.places() if not is_going(self._lake.root, p[1], TABLES[p[0]].partition)]
        names = {kind: sorted({str(key) for table, key in places if TABLES[table].partition == kind}) for kind in going}
        if self._only is not None:
            self._check_name(names, going)
            places = [place for place in places if owner_of(place) in (self._only, None)]
        surveyed = self._survey(places)
        self._findings += surroundings(self._data, self._lake, self._only, names[EXPERIMENT_KEY], going)
        writing = self._being_written(surveyed)
        manifests = {place: one.manifest for place, one in surveyed.items() if one.manifest is not None}
        for kind, key in sorted({(str(TABLES[t].partition), k) for t, k in surveyed if k is not None}):
            name = owner(kind, key)
            if name in writing:
                continue
            self._report(f"rules of {name}")
            judged = (
                study_findings(self._lake, key, manifests)
                if kind == STUDY_KEY
                else self._experiment(key, manifests, surveyed)
            )
            found = list(judged)
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
            len({key for table, key in surveyed if TABLES[table].of_experiment}),
            len({key for table, key in surveyed if TABLES[table].of_study}),
            len({table for table, _ in surveyed}),
            len(surveyed),
            len(parts),
            sum(part.rows for part in parts),
            sum(part.bytes for part in parts),
            round(seconds, 3),
        )
        ordered = sorted(self._findings, key=lambda f: (f.owner or "", f.severity, f.table, f.rule))
        return Examination(
            self._data, self._experiment_only, self._quick, tuple(ordered), examined, writing, self._study_only
        )

    def _check_name(self, names: Mapping[str, list[str]], going: Mapping[str, Mapping[str, bool]]) -> None:
        kind = EXPERIMENT_KEY if self._study_only is None else STUDY_KEY
        name = str(self._experiment_only if self._study_only is None else self._study_only)
        if name not in names[kind] and name not in going[kind]:
            known = ", ".join(names[kind][:12]) or "none"
            raise NothingToExamine(f"the lake at {self._lake.root} has no {kind} {name!r}; there are: {known}")

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
        """Who has a living writer, "" for the tables of the whole lake, and its process (0: unknown)."""
        found = {}
        for (table, key), one in surveyed.items():
            if one.writer is None:
                continue
            found[owner_of((table, key)) or ""] = one.writer
            if one.writer and not _is_alive(one.writer):
                message = f"the lock is held, but process {one.writer} that took it is gone"
                remedy = "end the child of it that still holds the lock, or the container that it runs in"
                finding = Finding("locks_are_of_the_living", "hint", message, remedy, path=one.folder / LOCK)
                self._findings.append(about((table, key), finding))
        return found

    def _has_changed(self, name: str, surveyed: Mapping[Place, Surveyed]) -> bool:
        """Whether somebody wrote into an experiment or study while it was examined."""
        for (table, key), one in surveyed.items():
            if owner_of((table, key)) != name or one.manifest is None:
                continue
            if self._lake.generation(table, key) != one.manifest.generation or holder_of(one.folder / LOCK) is not None:
                return True
        return False

    def _experiment(
        self, name: str, manifests: Mapping[Place, Manifest], surveyed: Mapping[Place, Surveyed]
    ) -> Iterator[Finding]:
        own = {place: manifest for place, manifest in manifests.items() if owner_of(place) in (name, None)}
        with connect_to(PartialLake(self._lake.root, own)) as connection:
            for spec in PARTITIONED:
                if (spec.name, name) not in own:
                    continue
                yield from generic(connection, spec, name)
            is_analysed = any((table, name) in own for table in ANALYSED)
            for judged in OF_EXPERIMENT:
                if is_analysed or judged.rule.asset in TABLES:  # the assets of analyses are no tables
                    yield from judged_by(connection, judged, name)
            yield from self._marks(connection, name, own)
            yield from contents.runs(connection, name)
            yield from to_do(connection, name, own)
        pictures = surveyed.get(("images", name))
        if pictures is not None and not self._quick:
            self._report(f"pictures of {name}")
            yield from contents.pictures(pictures)

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
                yield from generic(connection, spec, None)
            for judged in OF_LAKE:
                named = judged.rule.name == "assignments_have_their_cluster"
                where = f" WHERE experiment = '{self._experiment_only}'" if named and self._experiment_only else ""
                yield from judged_by(connection, judged, None, where)
            missing = connection.execute(
                """SELECT experiment, count(*) FROM embeddings WHERE sequence_number >= 0
                   AND experiment NOT IN (SELECT experiment FROM cluster_assignments) GROUP BY ALL ORDER BY ALL"""
            ).fetchall()
            for name, count in missing:
                if name not in writing:
                    message, remedy = "embedded outputs have a cluster, or are outliers", f"panic run {name}"
                    yield Finding("points_are_clustered", "to_do", message, remedy, "clusters", name, None, count)


def _writing(name: str, process: int) -> Finding:
    who = f"process {process}" if process else "another process"
    message = f"being written by {who}; its files were examined, not whether its tables agree"
    finding = Finding("is_being_written", "hint", message, "examine it again when that is over")
    study = name.removeprefix(owner(STUDY_KEY, ""))
    return replace(finding, experiment=name) if study == name else replace(finding, study=study)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
