"""The plan of mending: what goes from which partition, what is written again, what is put aside; nothing is done here.

Here belongs the way from an examination to a plan. Doing it belongs to ``mending``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.experiment import Experiment
from panic_assets.files import ExperimentFiles
from panic_assets.lake import Lake
from panic_assets.lake.catalog import connect_to
from panic_assets.lake.errors import LakeError
from panic_assets.lake.manifest import Manifest
from panic_assets.lake.quarantine import Key, rebuild
from panic_assets.lake.schemas import table_spec
from panic_assets.lake.specs import STUDY_KEY, owner
from panic_assets.upkeep.findings import Examination, Finding, Place, owner_of
from panic_assets.upkeep.marks import MARKED, true_marks, untrue
from panic_assets.upkeep.partial import PartialLake, without
from panic_assets.upkeep.remedies import ANALYSED, Closure, Cure, close, close_study, doom, doom_keys, prepare
from panic_assets.upkeep.restoring import described, lost_prompts, lost_runs
from panic_assets.upkeep.survey import part_of
from panic_assets.upkeep.truths import IMPORTED, OF_LAKE, SHARED, STUDIED, null_keys, repeated_keys

#: Rules after which a manifest is made again of its parts, and corrected.
REBUILT = frozenset({"manifest_is_whole", "manifest_is_there"})
CORRECTED = "manifest_describes_its_parts"
#: Rules after which a part goes.
LOST = frozenset(
    {
        "parts_are_as_committed",
        "every_part_is_there",
        "parts_can_be_read",
        "parts_have_the_columns_of_their_table",
        "labels_are_true",
    }
)
STRAYS = frozenset({"no_file_is_left_over", "every_part_is_listed", "every_file_is_known", "deletion_is_on_record"})
#: Rules whose rows ``contents`` found, with the table that loses them; None: runs are taken back to before them.
_FOUND_ROWS: dict[str, str | None] = {
    "pictures_are_whole": "images",
    "cycles_are_true": "outcomes",
    "invocations_are_of_their_run": None,
    "runs_keep_to_their_cycle": None,
}
_CLUSTERING = ("clustering_id",)


@dataclass
class Cut:
    """What happens to one partition, by one commit.

    ``lost`` are parts with the reason, ``doomed`` keys of rows (of the columns ``by``) with the rule, ``added`` are
    rows that come new. ``properties`` are what is left of them, None: all. ``marks`` names those that go.
    """

    table: str
    key: str | None
    lost: dict[str, str] = field(default_factory=dict)
    doomed: dict[Key, str] = field(default_factory=dict)
    single: set[Key] = field(default_factory=set)
    by: tuple[str, ...] | None = None
    added: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, Any] | None = None
    marks: list[str] = field(default_factory=list)
    renumbered: bool = False
    rows: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.lost or self.doomed or self.single or self.added or self.marks or self.renumbered)


@dataclass
class Plan:
    """All that mending will do. ``rebuilt``, ``corrected`` and ``strays`` name files of partitions with the reason."""

    data: Path
    rebuilt: dict[Place, str] = field(default_factory=dict)
    corrected: dict[Place, set[str]] = field(default_factory=dict)
    strays: dict[Place, dict[str, str]] = field(default_factory=dict)
    cuts: dict[Place, Cut] = field(default_factory=dict)
    catalog: bool = False
    left_alone: list[str] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to mend."""
        return not (self.rebuilt or self.corrected or self.strays or self.cuts or self.catalog)

    @property
    def rows(self) -> dict[str | None, dict[str, int]]:
        """Rows that go, by whose they are and by table."""
        found: dict[str | None, dict[str, int]] = {}
        for place, cut in self.cuts.items():
            if cut.rows:
                found.setdefault(owner_of(place), {})[place[0]] = cut.rows
        return found

    def cut(self, table: str, key: str | None) -> Cut:
        """The cut of a partition, new if there is none."""
        return self.cuts.setdefault((table, key), Cut(table, key))


def plan_mending(examination: Examination) -> Plan:
    """What `mending.carry_out` would do about an examination; the lake is read, nothing is written.

    Raises:
        LakeError: the lake can't be read.
    """
    plan = Plan(examination.data)
    lake = Lake(examination.data / "lake")
    busy = set(examination.being_written)
    by_place: dict[Place, list[Finding]] = {}
    for finding in examination.findings:
        if finding.owner in busy:
            plan.left_alone.append(f"{finding.rule} in {finding.table} of {finding.owner}: being written")
        else:
            by_place.setdefault(finding.place, []).append(finding)
            plan.catalog |= finding.rule == "catalog_is_current"
    for place, findings in by_place.items():
        _files(plan, place, findings)
    places = lake.places()
    manifests = dict(_manifests(lake, plan, places))
    broken = {f.experiment for f in examination.of("broken") if f.experiment is not None} - busy
    studies = {f.study for f in examination.of("broken") if f.study is not None and f.owner not in busy}
    files, _ = ExperimentFiles(examination.data / "experiments").read()
    for experiment in sorted(broken):
        own = {p: m for p, m in manifests.items() if owner_of(p) in (experiment, None)}
        found = [f for group in by_place.values() for f in group if f.owner == experiment]
        file = files.get(experiment, (None, None))[1]
        with connect_to(PartialLake(lake.root, own)) as connection:
            _experiment(plan, connection, lake, experiment, found, file, own)
    for study in sorted(studies):
        _study(plan, lake, study, manifests)
    if examination.study is None:
        _clusters(plan, lake, manifests, examination.experiment)
    for place in [place for place, cut in plan.cuts.items() if cut.is_empty]:
        del plan.cuts[place]
    plan.catalog |= bool(plan.rebuilt or plan.cuts) and (examination.data / "catalog.duckdb").exists()
    return plan


def _files(plan: Plan, place: Place, findings: list[Finding]) -> None:
    """What is to be done about files, by the findings about them."""
    for finding in findings:
        if finding.rule in REBUILT:
            plan.rebuilt[place] = finding.message
        elif finding.rule == CORRECTED:
            plan.corrected.setdefault(place, set()).update(finding.bad)
        elif finding.rule in LOST:
            plan.cut(*place).lost.update(dict.fromkeys(finding.bad, f"{finding.rule}: {finding.message}"))
        elif finding.rule in STRAYS:
            plan.strays.setdefault(place, {}).update(dict.fromkeys(finding.bad, finding.message))


def _manifests(lake: Lake, plan: Plan, places: list[Place]) -> Iterator[tuple[Place, Manifest]]:
    """The manifests as they will be once files are mended."""
    for table, key in places:
        place = table, key
        spec, folder = table_spec(table), lake.folder(table, key)
        if place in plan.rebuilt:
            made = rebuild(folder, spec, key, part_of)
            yield place, made.manifest
            continue
        try:
            manifest = lake.manifest(table, key)
        except LakeError:  # of a newer version: left as it is
            continue
        if manifest is None:
            continue
        lost = plan.cuts[place].lost if place in plan.cuts else {}
        if lost:
            plan.cuts[place].rows += sum(part.rows for part in manifest.parts if part.file in lost)
        yield place, without(manifest, lost)


def _experiment(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    experiment: str,
    findings: list[Finding],
    file: Experiment | None,
    manifests: Mapping[Place, Manifest],
) -> None:
    """Add what goes from the tables of one experiment, and what is written again."""
    prepare(connection, experiment)
    if connection.execute(f"SELECT {IMPORTED}", {"experiment": experiment}).fetchall()[0][0]:
        plan.imported.add(experiment)
    asked = described(connection, experiment, file)
    runs = "SELECT * FROM runs_only QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY run_number) > 1"
    doom(connection, experiment, Cure("runs_are_distinct", "runs", runs))
    texts = "SELECT p.* FROM prompts p JOIN runs_only r USING (experiment, prompt_number) WHERE p.prompt != r.prompt"
    doom(connection, experiment, Cure("every_run_has_its_prompt", "prompts", texts))
    for table, restored in (("runs", lost_runs), ("prompts", lost_prompts)):  # in this order
        added = restored(connection, experiment, asked)
        _add(connection, table, added)
        if added:
            plan.cut(table, experiment).added = added
    for finding in findings:
        loser = _FOUND_ROWS.get(finding.rule)
        if loser:
            doom_keys(connection, loser, finding.rule, finding.bad)
        elif finding.rule in _FOUND_ROWS:
            for _, run_number, place in finding.bad:
                connection.execute("INSERT INTO wrong_places VALUES (?, ?)", [run_number, place])
    closure = close(connection, experiment)
    _doom(plan, closure, experiment)
    numbered = "SELECT count(*) != coalesce(max(number), -1) + 1 FROM events"
    if connection.execute(numbered).fetchall()[0][0]:
        plan.cut("events", experiment).renumbered = True
    _unmark(plan, connection, lake, experiment, closure, manifests)


def _study(plan: Plan, lake: Lake, study: str, manifests: Mapping[Place, Manifest]) -> None:
    """Add what goes from the tables of one study; running it writes them whole again."""
    own = {place: manifest for place, manifest in manifests.items() if owner_of(place) == owner(STUDY_KEY, study)}
    with connect_to(PartialLake(lake.root, own)) as connection:
        prepare(connection, study, STUDIED)
        _doom(plan, close_study(connection, study), study)


def _doom(plan: Plan, closure: Closure, key: str) -> None:
    for table, doomed in closure.doomed.items():
        cut = plan.cut(table, key)
        cut.doomed = doomed
        cut.rows += len(doomed)
    for table, keys in closure.single.items():
        plan.cut(table, key).single = keys


def _add(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        marks = ", ".join("?" for _ in row)
        connection.execute(f"INSERT INTO added_{table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def _unmark(
    plan: Plan,
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    experiment: str,
    closure: Closure,
    manifests: Mapping[Place, Manifest],
) -> None:
    """Take back the marks of what goes or is gone: its stage would take it for done."""
    lost = {
        part.labels.get("analysis", "") for table in ANALYSED for part in _lost_parts(lake, plan, table, experiment)
    }
    lost |= {str(key[1]) for table in ANALYSED for key in closure.doomed.get(table, {})}
    if _lost_parts(lake, plan, "transitions", experiment) or closure.doomed.get("transitions"):
        lost |= {analysis.name for analysis in ANALYSES if analysis.has_transitions}
    for table in MARKED:
        manifest = manifests.get((table, experiment))
        if manifest is not None:
            kept = true_marks(connection, table, experiment, manifest.properties, lost)
            marks = untrue(manifest.properties, kept)
            if marks:
                cut = plan.cut(table, experiment)
                cut.properties, cut.marks = kept, marks


def _lost_parts(lake: Lake, plan: Plan, table: str, experiment: str) -> list[Any]:
    cut = plan.cuts.get((table, experiment))
    if cut is None or not cut.lost:
        return []
    manifest = lake.manifest(table, experiment)
    return [part for part in manifest.parts if part.file in cut.lost] if manifest else []


def _clusters(plan: Plan, lake: Lake, manifests: Mapping[Place, Manifest], only: str | None) -> None:
    """Clusterings go whole: what is left of one would be extended as if it were all of it."""
    tables = ("clusterings", "clusters", "cluster_assignments", "embeddings")
    given = {place: manifest for place, manifest in manifests.items() if place[0] in tables}
    with connect_to(PartialLake(lake.root, given)) as connection:
        connection.execute("CREATE TABLE gone AS SELECT * EXCLUDE (vector, space, modality) FROM embeddings LIMIT 0")
        for (table, _), cut in plan.cuts.items():
            if table == "embeddings":
                for key in cut.doomed:
                    connection.execute("INSERT INTO gone VALUES (?, ?, ?, ?)", list(key))
        connection.execute("ALTER VIEW embeddings RENAME TO all_embeddings")
        connection.execute(
            "CREATE VIEW embeddings AS FROM all_embeddings ANTI JOIN gone "
            "USING (experiment, run_number, sequence_number, embedding_model)"
        )
        ids: dict[Key, str] = {}
        for judged in OF_LAKE:
            query = judged.select(True)
            if only and judged.rule.name == "assignments_have_their_cluster":
                query = f"SELECT * FROM ({query}) WHERE experiment = '{only}'"
            rows = connection.execute(f"SELECT DISTINCT clustering_id FROM ({query})").fetchall()
            ids |= {row: judged.rule.name for row in rows}
        for spec in SHARED:
            for rule, query in (("values_are_not_null", null_keys(spec)), ("keys_are_unique", repeated_keys(spec))):
                rows = connection.execute(f"SELECT DISTINCT clustering_id FROM ({query})").fetchall()
                ids |= {row: rule for row in rows}
        for spec in SHARED if ids else ():
            counts = dict(
                connection.execute(f"SELECT clustering_id, count(*) FROM {spec.name} GROUP BY ALL").fetchall()
            )
            mine = {key: rule for key, rule in ids.items() if key[0] in counts}
            if mine:
                cut = plan.cut(spec.name, None)
                cut.doomed, cut.by = mine, _CLUSTERING
                cut.rows += sum(counts[key[0]] for key in mine)
