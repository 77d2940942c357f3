"""Mending: a plan is carried out, partition by partition, so that it can be ended at any moment and begun again.

Here belongs the order of things. What was made of something goes before it: a death in between then leaves what the
next examination finds, and never something that a run would take for done. What to do belongs to ``plan``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from panic_assets.lake import Lake
from panic_assets.lake.catalog import build_catalog
from panic_assets.lake.errors import CorruptPart, LakeError, PartitionLocked
from panic_assets.lake.locks import locked
from panic_assets.lake.manifest import MANIFEST, load_manifest, save_manifest
from panic_assets.lake.parts import check_content
from panic_assets.lake.quarantine import Surgeon, Ward, discard, rebuild
from panic_assets.lake.removal import DELETED
from panic_assets.lake.schemas import TABLES, table_spec
from panic_assets.lake.writer import LOCK
from panic_assets.upkeep.findings import Place, owner_of
from panic_assets.upkeep.plan import Cut, Plan
from panic_assets.upkeep.survey import part_of
from panic_assets.upkeep.truths import STUDIED

QUARANTINE = "quarantine"
_LAKE = "_lake"
_FIRST = ("clusterings", "clusters", "cluster_assignments", "dynamics", "run_statistics", "curves", "transitions")
_THEN = ("diagram_distances", "persistence_diagrams", "persistence_features", "embeddings", "outcomes", "events")
_STUDIES = tuple(spec.name for spec in reversed(STUDIED))
_LAST = ("invocations", "images", "runs", "prompts", "experiments")
#: What was made of a table comes before it; the mark of what is done before what it marks.
_NAMED = {*_FIRST, *_THEN, *_STUDIES, *_LAST}
ORDER = (*_FIRST, *_THEN, *(name for name in TABLES if name not in _NAMED), *_STUDIES, *_LAST)

OnStep = Callable[[str], None]


@dataclass
class Mended:
    """What was done, in sentences; rows that went, by whose they are and by table; where they are; what was left alone.

    ``imported`` are those of the experiments that can't be computed here.
    """

    done: list[str] = field(default_factory=list)
    rows: dict[str | None, dict[str, int]] = field(default_factory=dict)
    quarantine: list[Path] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)


def carry_out(plan: Plan, on_step: OnStep | None = None) -> Mended:
    """Do what a plan says; ``on_step`` is told what is begun.

    Experiments with a living writer are left alone, and named.

    Raises:
        LakeError: the lake can't be read or written, or is not as it was examined. What was done before stays done,
            and examining and mending again does the rest.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    made = Mended(left_alone=list(plan.left_alone), imported=set(plan.imported))
    places = sorted({*plan.rebuilt, *plan.corrected, *plan.strays, *plan.cuts}, key=_rank)
    by_owner: dict[str | None, list[Place]] = {}
    for place in places:
        by_owner.setdefault(owner_of(place), []).append(place)
    with ExitStack() as locks:
        free = _locked(Lake(plan.data / "lake"), by_owner, locks, made)
        # Clusters first; they follow from all experiments, and so wait until all can be mended.
        for name in sorted(free, key=lambda name: (name is not None, name or "")):
            folder = plan.data / QUARANTINE / (name or _LAKE) / stamp
            _Mender(plan, made, folder, on_step).mend(by_owner[name])
    if plan.catalog:
        _tell(on_step, "the catalog")
        build_catalog(plan.data / "lake", plan.data / "catalog.duckdb")
        made.done.append("catalog.duckdb: made anew")
    return made


class _Mender:
    """Mends the partitions of one experiment or study, or those of the whole lake, with all their locks held."""

    def __init__(self, plan: Plan, made: Mended, folder: Path, on_step: OnStep | None) -> None:
        self._plan, self._made, self._folder, self._on_step = plan, made, folder, on_step
        self._lake = Lake(plan.data / "lake")
        self._wards: dict[str, Ward] = {}

    def mend(self, places: list[Place]) -> None:
        """Files first, so that each partition is one that can be written."""
        for place in places:
            if place in self._plan.strays or place in self._plan.rebuilt or place in self._plan.corrected:
                self._mend_files(place)
        for place in places:
            if place in self._plan.cuts:
                self._operate(self._plan.cuts[place])

    def _ward(self, table: str) -> Ward:
        if self._folder not in self._made.quarantine:
            self._made.quarantine.append(self._folder)
        return self._wards.setdefault(table, Ward(self._folder / table))

    def _mend_files(self, place: Place) -> None:
        folder = self._lake.folder(*place)
        _tell(self._on_step, f"files of {_name(place)}")
        strays = {n: why for n, why in self._plan.strays.get(place, {}).items() if (folder / n).is_file()}
        if DELETED in strays:
            strays |= {path.name: strays[DELETED] for path in folder.glob("*.parquet")}
        if strays:
            self._put_aside(folder, place[0], strays)
            self._made.done.append(f"{_name(place)}: {len(strays)} files put aside")
        if place in self._plan.rebuilt:
            self._rebuild(place, folder)
        elif place in self._plan.corrected:
            self._correct(place, folder)

    def _put_aside(self, folder: Path, table: str, files: dict[str, str]) -> None:
        ward = self._ward(table)
        for name, why in files.items():
            ward.admit_file(folder / name, why)
        discard(folder, files)

    def _rebuild(self, place: Place, folder: Path) -> None:
        table, key = place
        spec = table_spec(table)
        made = rebuild(folder, spec, key, part_of)
        ward = self._ward(table)
        for name, why in ({MANIFEST: self._plan.rebuilt[place]} | made.aside).items():
            ward.admit_file(folder / name, why)
        save_manifest(folder, made.manifest)
        discard(folder, made.aside)
        parts, rows = len(made.manifest.parts), made.manifest.rows
        self._made.done.append(f"{_name(place)}: manifest made again, {parts} parts with {rows} rows")

    def _correct(self, place: Place, folder: Path) -> None:
        table, key = place
        manifest = load_manifest(folder)
        if manifest is None:
            return
        names = self._plan.corrected[place]
        self._ward(table).admit_file(folder / MANIFEST, "it did not describe its parts")
        parts = []
        for part in manifest.parts:
            if part.file in names:
                own = part_of(table_spec(table), key, check_content(folder, part))
                part = replace(own, compacted=part.compacted)
            parts.append(part)
        save_manifest(folder, replace(manifest, generation=manifest.generation + 1, parts=tuple(parts)))
        self._made.done.append(f"{_name(place)}: manifest corrected for {len(names)} parts")

    def _operate(self, cut: Cut) -> None:
        place = cut.table, cut.key
        folder, name = self._lake.folder(*place), _name(place)
        _tell(self._on_step, name)
        _still_lost(folder, cut)
        with Surgeon(folder, table_spec(cut.table), cut.key) as surgeon:
            rows = surgeon.cut(cut.lost, cut.doomed, cut.single, self._ward(cut.table), cut.by)
            if cut.properties is not None:
                surgeon.keep_properties(cut.properties)
            if cut.added:
                surgeon.append(cut.added)
            if cut.renumbered:
                surgeon.renumber("number")
            surgeon.commit()
        discard(folder, cut.lost)
        lost = max(0, cut.rows - len(cut.doomed)) if cut.by is None else 0
        went = [f"{len(cut.lost)} parts with {lost} rows"] if cut.lost else []
        went += [f"{rows} rows"] if rows else []
        done = [f"{' and '.join(went)} put aside"] if went else []
        done += [f"{len(cut.added)} rows written again"] if cut.added else []
        done += [f"{len(cut.marks)} marks of what was done taken back"] if cut.marks else []
        self._made.done.append(f"{name}: {', '.join(done) or 'renumbered'}")
        if cut.rows:
            self._made.rows.setdefault(owner_of(place), {})[cut.table] = cut.rows


def _locked(lake: Lake, by_owner: Mapping[str | None, list[Place]], locks: ExitStack, made: Mended) -> list[str | None]:
    """Whose partitions are all locked now for us, None for the whole lake; others are named."""
    free: list[str | None] = []
    for name in by_owner:
        own = ExitStack()
        try:
            for place in lake.places():
                if owner_of(place) == name:
                    own.enter_context(locked(lake.folder(*place) / LOCK))
        except PartitionLocked as error:
            own.close()
            made.left_alone.append(str(error))
            continue
        locks.enter_context(own)
        free.append(name)
    if None in free and len(free) < len(by_owner):
        made.left_alone.append("clusters: they follow when all experiments can be mended")
        free.remove(None)
    return free


def _still_lost(folder: Path, cut: Cut) -> None:
    """Look once more at what is to go: somebody may have put it back.

    Raises:
        LakeError: a part that was damaged is whole.
    """
    manifest = load_manifest(folder)
    for part in manifest.parts if manifest else ():
        if not cut.lost.get(part.file, "").startswith(("parts_are_as_committed", "every_part_is_there")):
            continue
        try:
            path = check_content(folder, part)
        except (CorruptPart, OSError):
            continue
        raise LakeError(f"{path} was damaged and is whole now; examine the lake again")


def _rank(place: Place) -> int:
    return ORDER.index(place[0])


def _name(place: Place) -> str:
    return f"{place[0]} of {owner_of(place)}" if place[1] else place[0]


def _tell(on_step: OnStep | None, what: str) -> None:
    if on_step:
        on_step(what)
