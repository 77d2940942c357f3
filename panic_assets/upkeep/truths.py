"""What must be true of rows beyond the asset checks, and what of all this a run that is not over may break.

Here belong rules as data, each an SQL query on the views of the lake; those of the asset checks are in
``panic_assets.lake.rules``. What follows from a broken rule belongs to ``remedies``.
"""

from __future__ import annotations

from dataclasses import dataclass

from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.lake.analysis_rules import DISTANCES, soundness_of
from panic_assets.lake.codec_rules import CODEC_RULES
from panic_assets.lake.rules import RULES, Rule
from panic_assets.lake.schemas import TABLES, TableSpec
from panic_assets.lake.study_rules import DOUBTS, STUDY_RULES

#: SQL that is true in an imported experiment: its loops were run elsewhere.
IMPORTED = """(EXISTS (FROM imported_runs WHERE experiment = $experiment) OR EXISTS (FROM experiments
    WHERE experiment = $experiment AND coalesce(json(config)->>'$.imported_from', '') != ''))"""

_OF_RUNS = ("imported_runs", "imported_invocations", "imported_embeddings", "imported_diagrams", "imported_assignments")

OWN_RULES = (
    Rule(
        "every_experiment_is_described",
        "experiments",
        "an experiment that has runs has its description",
        """SELECT DISTINCT experiment FROM runs_only WHERE experiment = $experiment
           AND experiment NOT IN (SELECT experiment FROM experiments)""",
    ),
    Rule(
        "flags_are_counted",
        "outcomes",
        "an outcome counts the outputs with flags",
        f"""SELECT o.run_number, o.flagged, count(*) FILTER (len(i.flags) > 0) AS flags, o.length,
                   count(i.run_number) AS invocations
            FROM outcomes o LEFT JOIN invocations i USING (experiment, run_number)
            WHERE o.experiment = $experiment AND NOT {IMPORTED}
            GROUP BY o.run_number, o.flagged, o.length
            HAVING o.flagged != count(*) FILTER (len(i.flags) > 0)""",
    ),
    Rule(
        "a_model_has_one_space",
        "embeddings",
        "all vectors of an embedding model in an experiment are of one space and one dimension",
        """SELECT embedding_model, space, len(vector) AS dimension, count(*) AS vectors FROM embeddings
           WHERE experiment = $experiment GROUP BY embedding_model, space, len(vector)
           QUALIFY row_number() OVER (PARTITION BY embedding_model ORDER BY vectors DESC, space, dimension) > 1""",
    ),
    Rule(
        "features_have_their_trajectory",
        "persistence_features",
        "features belong to a trajectory that is there",
        """SELECT DISTINCT f.run_number, f.embedding_model, f.modality FROM persistence_features f
           ANTI JOIN embeddings e ON e.experiment = f.experiment AND e.run_number = f.run_number
             AND e.embedding_model = f.embedding_model AND e.modality = f.modality AND e.sequence_number >= 0
           WHERE f.experiment = $experiment""",
    ),
    Rule(
        "events_are_numbered",
        "events",
        "events are numbered 0, 1, 2, ... without gaps",
        """SELECT count(*) AS events, max(number) AS last FROM events WHERE experiment = $experiment
           HAVING count(*) != coalesce(max(number), -1) + 1""",
    ),
    Rule(
        "imported_rows_have_their_run",
        "imported_runs",
        "what a source says of a run is about a run that is there",
        " UNION ALL ".join(
            f"""SELECT '{table}' AS place, t.run_number, count(*) AS rows FROM {table} t
                ANTI JOIN runs_only USING (experiment, run_number) WHERE t.experiment = $experiment GROUP BY ALL"""
            for table in _OF_RUNS
        ),
    ),
    Rule(
        "images_are_named",
        "images",
        "each picture is named by an invocation",
        """SELECT hex(g.image_hash) AS image_hash, g.run_number, g.sequence_number FROM image_index g
           ANTI JOIN invocations i ON i.experiment = g.experiment AND i.image_hash = g.image_hash
           WHERE g.experiment = $experiment""",
    ),
    Rule(
        "transitions_have_their_clustering",
        "transitions",
        "transitions are between clusters of a clustering that is there",
        """SELECT DISTINCT embedding_model, clustering_id FROM transitions ANTI JOIN clusterings USING (clustering_id)
           WHERE experiment = $experiment""",
    ),
)

#: Rules whose every broken row is worth knowing and no more.
HINTS = frozenset({"images_are_named", *(rule.name for rule in DOUBTS)})

#: By rule: SQL, true of those of its rows that a run, a kill or a deletion may leave and the next run makes good.
UNFINISHED: dict[str, str] = {
    "every_run_has_an_outcome": "true",
    "every_experiment_is_described": "true",
    "transitions_have_their_clustering": "true",
    # Rows that came after the outcome; or the run may be longer now.
    "outcomes_agree_with_invocations": """max_length IS NOT NULL AND (invocations > length OR (stop_reason = 'length'
        AND invocations = length AND length < max_length AND transient_length IS NULL AND cycle_length IS NULL))""",
    "flags_are_counted": "invocations > length",
    "embeddings_are_complete": "vectors = 0",
    "every_trajectory_has_its_diagrams": "points IS NOT NULL AND (rows IS NULL OR points > points_of_diagrams)",
    # Features are written before their diagrams.
    "features_agree_with_diagrams": "bars IS NULL",
    # The experiment was deleted; clusters follow when they are made next.
    "assignments_have_their_cluster": "experiment NOT IN (SELECT experiment FROM embeddings)",
}


@dataclass(frozen=True)
class Judged:
    """A rule with the SQL that tells its unfinished rows from its broken ones, None where all are broken."""

    rule: Rule
    unfinished: str | None

    def select(self, broken: bool) -> str:
        """SQL of the rows that are wrong, or of those that are merely not done yet."""
        if self.unfinished is None:
            return self.rule.broken if broken else f"SELECT * FROM ({self.rule.broken}) WHERE false"
        sign = "NOT " if broken else ""
        return f"SELECT * FROM ({self.rule.broken}) AS broken WHERE {sign}coalesce({self.unfinished}, false)"


def _judged(rule: Rule) -> Judged:
    return Judged(rule, UNFINISHED.get(rule.name))


#: Rules of one experiment, those of one study, and those of the whole lake.
OF_EXPERIMENT = tuple(
    _judged(rule)
    for rule in (*RULES, *OWN_RULES, DISTANCES, *(soundness_of(analysis.name) for analysis in ANALYSES), *CODEC_RULES)
    if rule.of_experiment
)
OF_STUDY = tuple(map(_judged, STUDY_RULES))
OF_LAKE = tuple(_judged(rule) for rule in RULES if rule.partition is None)
BY_NAME = {judged.rule.name: judged for judged in (*OF_EXPERIMENT, *OF_STUDY, *OF_LAKE)}


def view_of(table: str) -> str:
    """The view of a table's bare rows."""
    return "runs_only" if table == "runs" else table


def repeated_keys(spec: TableSpec) -> str:
    """SQL of the keys that a table has more than once."""
    names = ", ".join(spec.key)
    return f"SELECT {names}, count(*) AS rows FROM {view_of(spec.name)} GROUP BY {names} HAVING count(*) > 1"


def null_keys(spec: TableSpec) -> str:
    """SQL of the keys of rows with a null where the table admits none."""
    wrong = [f"{column.name} IS NULL" for column in spec.columns if not column.nullable]
    wrong += [
        f"len(list_filter({column.name}, lambda x: x IS NULL)) > 0"
        for column in spec.columns
        if column.name in ("births", "deaths", "models")
    ]
    names = ", ".join(spec.key)
    return f"SELECT {names} FROM {view_of(spec.name)} WHERE {' OR '.join(wrong)}"


#: Tables of experiments, of studies, and of the whole lake.
PARTITIONED = tuple(spec for spec in TABLES.values() if spec.of_experiment)
STUDIED = tuple(spec for spec in TABLES.values() if spec.of_study)
SHARED = tuple(spec for spec in TABLES.values() if not spec.partitioned)
