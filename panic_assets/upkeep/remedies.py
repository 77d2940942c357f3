"""What must go with what is wrong: for each broken rule, the rows that can't stay.

Here belong the cures as data, SQL on the views of one experiment, and their closure: a row goes when a rule is broken
by it, and then what that breaks goes, until nothing is broken any more. Only what a run makes again, or an import,
is ever chosen. Nothing is changed on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.lake.codec_rules import CODEC_RULES
from panic_assets.lake.quarantine import Key
from panic_assets.lake.schemas import TableSpec, table_spec
from panic_assets.lake.study_rules import TIES
from panic_assets.upkeep.truths import BY_NAME, PARTITIONED, STUDIED, null_keys, repeated_keys, view_of

#: Pictures of one key have the same pixels: one is enough, wherever it is said to come from.
_ALIKE = ("images",)
ANALYSED = ("run_statistics", "curves", "dynamics")


@dataclass(frozen=True)
class Cure:
    """``sql`` selects keys of rows of ``table`` that must go since ``rule`` is broken; other columns are ignored."""

    rule: str
    table: str
    sql: str


def _broken(rule: str) -> str:
    return BY_NAME[rule].select(True)


def _of_trajectories(rule: str, table: str, of: str) -> Cure:
    """All rows of a trajectory, because its homology dimensions are made together."""
    return Cure(
        rule,
        table,
        f"SELECT t.* FROM {table} t SEMI JOIN ({of}) b USING (run_number, embedding_model, modality) "
        "WHERE t.experiment = $experiment",
    )


#: A run is taken back to before its first wrong output: what came after was made from that.
_REWIND = """
    WITH wrong AS (
        SELECT i.run_number, -1 AS place FROM invocations i ANTI JOIN runs_only USING (experiment, run_number)
        WHERE i.experiment = $experiment
        UNION ALL
        SELECT run_number, place FROM (
            SELECT run_number, sequence_number,
                   row_number() OVER (PARTITION BY run_number ORDER BY sequence_number) - 1 AS place
            FROM invocations WHERE experiment = $experiment) WHERE sequence_number != place
        UNION ALL
        SELECT i.run_number, i.sequence_number FROM invocations i JOIN runs_only r USING (experiment, run_number)
        WHERE i.experiment = $experiment
          AND i.model IS DISTINCT FROM r.models[1 + i.sequence_number % len(r.models)]
        UNION ALL
        SELECT run_number, sequence_number FROM (
            SELECT *, mode(type) OVER (PARTITION BY model) AS usual FROM invocations WHERE experiment = $experiment)
        WHERE type != usual OR type NOT IN ('text', 'image', 'audio') OR (type = 'text') != (text IS NOT NULL)
           OR (type = 'image') != (image_hash IS NOT NULL) OR (type = 'audio') != (audio_hash IS NOT NULL)
        UNION ALL
        SELECT i.run_number, i.sequence_number FROM invocations i ANTI JOIN image_index USING (experiment, image_hash)
        WHERE i.experiment = $experiment AND i.image_hash IS NOT NULL
        UNION ALL
        SELECT run_number, sequence_number FROM wrong_places)
    SELECT i.* FROM invocations i JOIN (SELECT run_number, min(place) AS first FROM wrong GROUP BY ALL)
    USING (run_number) WHERE i.experiment = $experiment AND (i.sequence_number >= first OR i.sequence_number < 0)"""

_DIAGRAM_RULES = (
    "every_trajectory_has_its_diagrams",
    "features_agree_with_diagrams",
    "one_component_lives_for_ever",
    "bars_die_after_their_birth",
)
#: What some rules leave out of their rows.
_MODALITIES = {
    "one_component_lives_for_ever": "persistence_diagrams",
    "bars_die_after_their_birth": "persistence_diagrams",
}


def _trajectories(rule: str) -> str:
    """SQL of the trajectories (run, embedding model, modality) that break a rule about diagrams."""
    if rule in _MODALITIES:
        return (
            f"SELECT DISTINCT d.run_number, d.embedding_model, d.modality FROM {_MODALITIES[rule]} d "
            f"SEMI JOIN ({_broken(rule)}) b USING (run_number, embedding_model, homology_dimension) "
            "WHERE d.experiment = $experiment"
        )
    return f"SELECT DISTINCT run_number, embedding_model, modality FROM ({_broken(rule)})"


CURES = (
    Cure("invocations_are_sound", "invocations", _REWIND),
    Cure(
        "outcomes_agree_with_invocations",
        "outcomes",
        f"SELECT $experiment AS experiment, run_number FROM ({_broken('outcomes_agree_with_invocations')})",
    ),
    Cure(
        "flags_are_counted",
        "outcomes",
        f"SELECT $experiment AS experiment, run_number FROM ({_broken('flags_are_counted')})",
    ),
    Cure(
        "embeddings_have_their_invocation",
        "embeddings",
        f"SELECT $experiment AS experiment, * FROM ({_broken('embeddings_have_their_invocation')})",
    ),
    Cure(
        "vectors_are_sound", "embeddings", f"SELECT $experiment AS experiment, * FROM ({_broken('vectors_are_sound')})"
    ),
    Cure(
        "a_model_has_one_space",
        "embeddings",
        f"""SELECT e.* FROM embeddings e SEMI JOIN ({_broken("a_model_has_one_space")}) b
            ON b.embedding_model = e.embedding_model AND b.space = e.space AND b.dimension = len(e.vector)
            WHERE e.experiment = $experiment""",
    ),
    *(
        _of_trajectories(rule, table, _trajectories(rule))
        for rule in _DIAGRAM_RULES
        for table in ("persistence_diagrams", "persistence_features")
    ),
    # A trajectory whose diagrams go loses its features.
    _of_trajectories("features_agree_with_diagrams", "persistence_features", "FROM doomed_persistence_diagrams"),
    _of_trajectories("features_agree_with_diagrams", "persistence_diagrams", "FROM doomed_persistence_features"),
    _of_trajectories(
        "features_have_their_trajectory", "persistence_features", _broken("features_have_their_trajectory")
    ),
    Cure(
        "distances_are_distances",
        "diagram_distances",
        f"SELECT d.* FROM diagram_distances d SEMI JOIN ({_broken('distances_are_distances')})"
        " b USING (run_a, run_b, embedding_model, homology_dimension) WHERE d.experiment = $experiment",
    ),
    *(
        Cure(
            "imported_rows_have_their_run",
            table,
            f"SELECT t.* FROM {table} t ANTI JOIN runs_only USING (experiment, run_number) "
            "WHERE t.experiment = $experiment",
        )
        for table in ("imported_runs", "imported_invocations", "imported_embeddings", "imported_diagrams")
    ),
    Cure(
        "imported_rows_have_their_run",
        "imported_assignments",
        "SELECT t.* FROM imported_assignments t ANTI JOIN runs_only USING (experiment, run_number) "
        "WHERE t.experiment = $experiment",
    ),
    # Rates are measured together and compared together: what is left of them would be compared wrongly.
    *(
        Cure(
            rule.name, rule.asset, f"FROM {rule.asset} WHERE experiment = $experiment AND EXISTS ({_broken(rule.name)})"
        )
        for rule in CODEC_RULES
    ),
)

#: By table: columns by which rules name its rows, where that is not the trial.
_TOLD = {"artifacts": "artifact_id", "study_comparison": "mode, arm, metric"}
#: What is left of a study without what it is of goes: running it writes all of it again.
STUDY_CURES = tuple(
    Cure(
        rule.name,
        rule.asset,
        f"FROM {rule.asset} SEMI JOIN ({_broken(rule.name)}) USING ({_TOLD.get(rule.asset, 'trial_id')})",
    )
    for rule in TIES
)


@dataclass
class Closure:
    """Keys of rows that must go, by table, each with its rule; and keys of which one row is enough."""

    doomed: dict[str, dict[Key, str]] = field(default_factory=dict)
    single: dict[str, set[Key]] = field(default_factory=dict)


def prepare(connection: duckdb.DuckDBPyConnection, key: str, specs: Sequence[TableSpec] = PARTITIONED) -> None:
    """Make the views of a connection show what will be left: a row that is doomed is not in them.

    At first that are rows with nulls, and keys that come twice with different rows.
    """
    for spec in specs:
        view = view_of(spec.name)
        keys = ", ".join(f"all_{view}.{name}" for name in spec.key)
        connection.execute(f"ALTER VIEW {view} RENAME TO all_{view}")
        connection.execute(f"CREATE TABLE doomed_{spec.name} AS SELECT {keys}, '' AS rule FROM all_{view} LIMIT 0")
        connection.execute(f"CREATE TABLE added_{spec.name} AS FROM all_{view} LIMIT 0")
        _show(connection, spec, False)
    connection.execute("CREATE TABLE wrong_places (run_number INTEGER, sequence_number INTEGER)")
    for spec in specs:
        doom(connection, key, Cure("values_are_not_null", spec.name, null_keys(spec)))
        repeated = repeated_keys(spec)
        if not connection.execute(f"SELECT count(*) FROM ({repeated})").fetchall()[0][0]:
            continue
        view, names = view_of(spec.name), ", ".join(spec.key)
        if spec.name not in _ALIKE:
            unlike = f"""SELECT {names} FROM (SELECT DISTINCT * FROM {view} SEMI JOIN ({repeated}) USING ({names}))
                         GROUP BY {names} HAVING count(*) > 1"""
            doom(connection, key, Cure("keys_are_unique", spec.name, unlike))
        connection.execute(f"CREATE TABLE single_{spec.name} AS SELECT {names} FROM ({repeated})")
        _show(connection, spec, True)


def doom(connection: duckdb.DuckDBPyConnection, key: str, cure: Cure) -> int:
    """Add what a cure selects to the doomed rows of an experiment or study; give how many."""
    names = ", ".join(table_spec(cure.table).key)
    partition = str(table_spec(cure.table).partition)
    parameters: Mapping[str, Any] = {partition: key} if f"${partition}" in cure.sql else {}
    rows = connection.execute(
        f"INSERT INTO doomed_{cure.table} SELECT DISTINCT {names}, '{cure.rule}' FROM ({cure.sql})", parameters
    ).fetchall()
    return int(rows[0][0])


def doom_keys(connection: duckdb.DuckDBPyConnection, table: str, rule: str, keys: Iterable[Key]) -> None:
    """Add keys to the doomed rows of a table."""
    for key in keys:
        places = ", ".join("?" for _ in key)
        connection.execute(f"INSERT INTO doomed_{table} VALUES ({places}, ?)", [*key, rule])


def close(connection: duckdb.DuckDBPyConnection, experiment: str) -> Closure:
    """Apply the cures until no rule is broken any more."""
    _analyses(connection, experiment)
    cures = [cure for cure in CURES if _all(connection, f"FROM {view_of(cure.table)} LIMIT 1")]
    while sum(doom(connection, experiment, cure) for cure in cures):
        pass
    return _closure(connection, PARTITIONED)


def close_study(connection: duckdb.DuckDBPyConnection, study: str) -> Closure:
    """Apply the cures of a study until no rule is broken any more."""
    while sum(doom(connection, study, cure) for cure in STUDY_CURES):
        pass
    return _closure(connection, STUDIED)


def _closure(connection: duckdb.DuckDBPyConnection, specs: Sequence[TableSpec]) -> Closure:
    found = Closure()
    for spec in specs:
        doomed = {row[:-1]: row[-1] for row in _all(connection, f"FROM doomed_{spec.name}")}
        if doomed:
            found.doomed[spec.name] = doomed
        if _all(connection, f"FROM duckdb_tables() WHERE table_name = 'single_{spec.name}'"):
            found.single[spec.name] = set(_all(connection, f"FROM single_{spec.name}")) - set(doomed)
    return found


def _analyses(connection: duckdb.DuckDBPyConnection, experiment: str) -> None:
    """An analysis is in three tables, and goes from all of them. It depends on nothing that a cure takes away."""
    held = " UNION ALL ".join(f"SELECT analysis FROM all_{table}" for table in ANALYSED)
    names = {name for (name,) in _all(connection, f"SELECT DISTINCT analysis FROM ({held})")}
    for analysis in (one for one in ANALYSES if one.name in names):
        rule = f"{analysis.name}_is_sound"
        wrong = f"SELECT analysis FROM {{}} WHERE analysis = '{analysis.name}'"
        gone = " UNION ALL ".join(wrong.format(f"doomed_{table}") for table in ANALYSED)
        broken = f"SELECT EXISTS ({_broken(rule)}) OR EXISTS ({gone})"
        if connection.execute(broken, {"experiment": experiment}).fetchall()[0][0]:
            for table in ANALYSED:
                doom(connection, experiment, Cure(rule, table, f"FROM {table} WHERE analysis = '{analysis.name}'"))


def _show(connection: duckdb.DuckDBPyConnection, spec: TableSpec, once: bool) -> None:
    view = view_of(spec.name)
    same = " AND ".join(f"d.{name} IS NOT DISTINCT FROM a.{name}" for name in spec.key)
    only = f" QUALIFY row_number() OVER (PARTITION BY {', '.join(spec.key)}) = 1" if once else ""
    connection.execute(
        f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM all_{view} a "
        f"WHERE NOT EXISTS (SELECT 1 FROM doomed_{spec.name} d WHERE {same}){only} "
        f"UNION ALL BY NAME FROM added_{spec.name}"
    )


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
