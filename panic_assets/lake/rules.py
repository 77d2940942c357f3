"""The integrity rules: what must be true between and within tables, as SQL that finds the rows that break it.

Here belong the rules alone; the asset checks and whoever else examines a lake run them. Each query runs on the views
of :func:`panic_assets.lake.connect` and selects the broken rows; ``$experiment`` (or ``$study``) is the one that is
judged, where the rule is for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import duckdb

from panic_assets.lake.catalog import tables_read_by
from panic_assets.lake.specs import EXPERIMENT_KEY


@dataclass(frozen=True)
class Rule:
    """``name`` in snake case; ``asset`` whose rows it judges; ``meaning`` for the person who reads a failure.

    ``partition`` says what is judged at a time: an experiment, a study, or (None) the whole lake.
    """

    name: str
    asset: str
    meaning: str
    broken: str
    partition: str | None = EXPERIMENT_KEY

    @property
    def of_experiment(self) -> bool:
        """Whether it judges one experiment at a time."""
        return self.partition == EXPERIMENT_KEY

    @property
    def tables(self) -> list[str]:
        """The tables that it reads: `connect` need show no others for it, which is faster."""
        return tables_read_by(self.broken)


@dataclass(frozen=True)
class Verdict:
    """How many rows break a rule, and up to five of them."""

    rule: Rule
    count: int
    examples: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether no row breaks the rule."""
        return self.count == 0

    @property
    def sentence(self) -> str:
        """What is wrong, with the rows."""
        rows = "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in self.examples)
        more = f"; and {self.count - len(self.examples)} more" if self.count > len(self.examples) else ""
        noun, verb = ("row", "breaks") if self.count == 1 else ("rows", "break")
        return f"{self.count} {noun} of {self.rule.asset} {verb} the rule that {self.rule.meaning}: {rows}{more}"


def judge(connection: duckdb.DuckDBPyConnection, rule: Rule, key: str | None = None) -> Verdict:
    """Run one rule; ``key`` names the experiment or study that is judged."""
    parameters = {rule.partition: key} if rule.partition is not None else {}
    count = connection.execute(f"SELECT count(*) FROM ({rule.broken})", parameters).fetchall()[0][0]
    examples: list[dict[str, Any]] = []
    if count:
        found = connection.execute(f"SELECT * FROM ({rule.broken}) ORDER BY ALL LIMIT 5", parameters)
        names = [column[0] for column in found.description or []]
        examples = [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]
    return Verdict(rule, count, examples)


def _plain(value: Any) -> Any:
    """A value that JSON has; infinities and NaN are none and become words."""
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    return str(value)


RULES = (
    Rule(
        "every_run_has_its_prompt",
        "runs",
        "each run's prompt number and text are in the table of prompts",
        """SELECT r.run_number, r.prompt FROM runs_only r
           LEFT JOIN prompts p
             ON p.experiment = r.experiment AND p.prompt_number = r.prompt_number AND p.prompt = r.prompt
           WHERE r.experiment = $experiment AND p.prompt IS NULL""",
    ),
    Rule(
        "runs_are_distinct",
        "runs",
        "run numbers and run identities are unique",
        """SELECT run_number, run_id FROM runs_only WHERE experiment = $experiment
           QUALIFY count(*) OVER (PARTITION BY run_number) > 1 OR count(*) OVER (PARTITION BY run_id) > 1""",
    ),
    Rule(
        "every_run_has_an_outcome",
        "outcomes",
        "each run of the plan ended, for a stated reason",
        """SELECT r.run_number FROM runs_only r
           LEFT JOIN outcomes o ON o.experiment = r.experiment AND o.run_number = r.run_number
           WHERE r.experiment = $experiment AND o.stop_reason IS NULL""",
    ),
    Rule(
        "outcomes_agree_with_invocations",
        "outcomes",
        "an outcome is that of a run, its length is the number of its invocations, and its reason fits them: a cycle "
        "lies within them, a run that ended by length has its length, one that failed has its error, and only imported "
        "ones ended for a reason of their source",
        """SELECT o.run_number, o.length, coalesce(i.rows, 0) AS invocations, o.stop_reason,
                  o.transient_length, o.cycle_length, r.max_length FROM outcomes o
           LEFT JOIN runs_only r ON r.experiment = o.experiment AND r.run_number = o.run_number
           LEFT JOIN (SELECT experiment, run_number, count(*) AS rows FROM invocations GROUP BY ALL) i
             ON i.experiment = o.experiment AND i.run_number = o.run_number
           WHERE o.experiment = $experiment AND (
             r.run_number IS NULL
             OR o.length != coalesce(i.rows, 0)
             OR o.stop_reason NOT IN ('length', 'cycle', 'failed', 'quality', 'duplicate', 'unknown')
             OR (o.stop_reason IN ('duplicate', 'unknown')
                 AND o.run_number NOT IN (SELECT run_number FROM imported_runs WHERE experiment = $experiment))
             OR (o.stop_reason = 'length' AND o.length < r.max_length)
             OR (o.stop_reason = 'cycle' AND o.cycle_length IS NULL)
             OR (o.transient_length IS NULL) != (o.cycle_length IS NULL)
             OR o.transient_length < 0 OR o.cycle_length < 1 OR o.transient_length + o.cycle_length >= o.length
             OR (o.stop_reason = 'failed' AND o.error IS NULL))""",
    ),
    Rule(
        "sequences_are_contiguous",
        "invocations",
        "a run's sequence numbers are 0, 1, 2, ... without gaps or repeats",
        """SELECT run_number, count(*) AS rows, min(sequence_number) AS first, max(sequence_number) AS last
           FROM invocations WHERE experiment = $experiment GROUP BY run_number
           HAVING min(sequence_number) != 0 OR max(sequence_number) != count(*) - 1
             OR count(DISTINCT sequence_number) != count(*)""",
    ),
    Rule(
        "models_follow_the_ring",
        "invocations",
        "the model at a place is the one that the ring has there",
        """SELECT i.run_number, i.sequence_number, i.model FROM invocations i
           LEFT JOIN runs_only r ON r.experiment = i.experiment AND r.run_number = i.run_number
           WHERE i.experiment = $experiment
             AND (r.models IS NULL OR i.model != r.models[1 + i.sequence_number % len(r.models)])""",
    ),
    Rule(
        "outputs_are_there",
        "invocations",
        "an output has what its medium says, a text, an image or a sound, and nothing else, and a model always gives "
        "the same medium",
        """SELECT run_number, sequence_number, model, type FROM invocations WHERE experiment = $experiment
           QUALIFY type NOT IN ('text', 'image', 'audio') OR (type = 'text') != (text IS NOT NULL)
             OR (type = 'image') != (image_hash IS NOT NULL) OR (type = 'audio') != (audio_hash IS NOT NULL)
             OR min(type) OVER (PARTITION BY model) != max(type) OVER (PARTITION BY model)""",
    ),
    Rule(
        "every_image_is_stored",
        "images",
        "each image that an invocation names is in the table of images",
        """SELECT i.run_number, i.sequence_number, i.image_hash FROM invocations i
           LEFT JOIN image_index g ON g.experiment = i.experiment AND g.image_hash = i.image_hash
           WHERE i.experiment = $experiment AND i.image_hash IS NOT NULL AND g.image_hash IS NULL""",
    ),
    Rule(
        "every_sound_is_stored",
        "invocations",
        "each sound that an invocation names is in the table of sounds",
        """SELECT i.run_number, i.sequence_number, hex(i.audio_hash) AS audio_hash FROM invocations i
           ANTI JOIN (SELECT experiment, audio_hash FROM sounds) s
             ON s.experiment = i.experiment AND s.audio_hash = i.audio_hash
           WHERE i.experiment = $experiment AND i.audio_hash IS NOT NULL""",
    ),
    Rule(
        "embeddings_have_their_invocation",
        "embeddings",
        "each embedding belongs to an invocation of its medium, or to the prompt of a run",
        """SELECT e.run_number, e.sequence_number, e.embedding_model FROM embeddings e
           LEFT JOIN invocations i ON i.experiment = e.experiment AND i.run_number = e.run_number
             AND i.sequence_number = e.sequence_number
           LEFT JOIN runs_only r ON r.experiment = e.experiment AND r.run_number = e.run_number
           WHERE e.experiment = $experiment
             AND CASE WHEN e.sequence_number = -1 THEN r.run_number IS NULL OR e.modality != 'text'
                      ELSE i.type IS NULL OR i.type != e.modality END""",
    ),
    Rule(
        "embeddings_are_complete",
        "embeddings",
        # Models that the file no longer names keep their vectors and get no new ones. A model with none at all might
        # embed pictures alone, of which there may be none; where there are some, it must have vectors.
        "each of the experiment's embedding models has one vector for every output of its media and for every prompt",
        """WITH listed AS (SELECT unnest(CAST(json(config)->'$.embedding_models' AS VARCHAR[])) AS embedding_model
                           FROM experiments WHERE experiment = $experiment),
                kinds AS (SELECT DISTINCT embedding_model, modality FROM embeddings SEMI JOIN listed
                          USING (embedding_model) WHERE experiment = $experiment),
                items AS (SELECT run_number, sequence_number, type AS modality FROM invocations
                          WHERE experiment = $experiment
                          UNION ALL SELECT run_number, -1, 'text' FROM runs_only WHERE experiment = $experiment),
                held AS (SELECT embedding_model, run_number, sequence_number, modality, count(*) AS vectors
                         FROM embeddings WHERE experiment = $experiment GROUP BY ALL)
           SELECT embedding_model, run_number, sequence_number, coalesce(vectors, 0) AS vectors
           FROM (SELECT * FROM items JOIN kinds USING (modality))
           LEFT JOIN held USING (embedding_model, run_number, sequence_number, modality)
           WHERE coalesce(vectors, 0) != 1
           UNION ALL SELECT embedding_model, NULL, NULL, 0 FROM listed ANTI JOIN kinds USING (embedding_model)
           WHERE EXISTS (FROM items WHERE modality = 'image')""",
    ),
    Rule(
        "vectors_are_sound",
        "embeddings",
        "vectors are finite, of one dimension in a space, and of length 1 where the space says normalised",
        """SELECT run_number, sequence_number, embedding_model, len(vector) AS dimension FROM embeddings
           WHERE experiment = $experiment AND (
             len(list_filter(vector, lambda x: x IS NULL OR NOT isfinite(x))) > 0
             OR len(vector) IS DISTINCT FROM TRY_CAST(split_part(space, '/', -2) AS INTEGER)
             OR (space LIKE '%/normalised' AND abs(sqrt(list_dot_product(vector, vector)) - 1) > 1e-3))""",
    ),
    Rule(
        "every_trajectory_has_its_diagrams",
        "persistence_diagrams",
        "each trajectory has one diagram of all its points in each homology dimension, none twice, unless it is marked",
        """WITH t AS (SELECT run_number, embedding_model, modality, count(*) AS points FROM embeddings
                      WHERE experiment = $experiment AND sequence_number >= 0 GROUP BY ALL),
                d AS (SELECT run_number, embedding_model, modality, count(*) AS rows, min(points) AS least,
                             max(points) AS most, count(DISTINCT homology_dimension) AS dimensions,
                             any_value(status) AS status
                      FROM persistence_diagrams WHERE experiment = $experiment GROUP BY ALL)
           SELECT run_number, embedding_model, modality, t.points, d.rows, d.most AS points_of_diagrams
           FROM t FULL JOIN d USING (run_number, embedding_model, modality)
           WHERE t.points IS NULL OR d.rows IS NULL OR d.rows != d.dimensions
             OR d.least != t.points OR d.most != t.points
             OR (d.dimensions != 3 AND d.status NOT IN ('incomplete', 'too_few_points'))""",
    ),
    Rule(
        "features_agree_with_diagrams",
        "persistence_diagrams",
        "each diagram has one row of features, which counts its bars",
        """WITH f AS (SELECT run_number, embedding_model, modality, homology_dimension, count(*) AS rows,
                             min(bars) AS least, max(bars) AS most
                      FROM persistence_features WHERE experiment = $experiment GROUP BY ALL),
                d AS (SELECT run_number, embedding_model, modality, homology_dimension, len(births) AS bars
                      FROM persistence_diagrams WHERE experiment = $experiment)
           SELECT run_number, embedding_model, modality, homology_dimension, d.bars, f.most AS bars_of_features
           FROM d FULL JOIN f USING (run_number, embedding_model, modality, homology_dimension)
           WHERE d.bars IS NULL OR f.rows IS NULL OR f.rows != 1 OR f.most != d.bars""",
    ),
    Rule(
        "one_component_lives_for_ever",
        "persistence_diagrams",
        "a diagram in dimension 0 has exactly one infinite bar, in the others of a complete one there is none",
        """SELECT run_number, embedding_model, homology_dimension, status FROM persistence_diagrams
           WHERE experiment = $experiment AND status IN ('complete', 'thresholded') AND (
             (homology_dimension = 0 AND threshold IS NULL AND len(list_filter(deaths, lambda d: isinf(d))) != 1)
             OR (homology_dimension > 0 AND threshold IS NULL AND len(list_filter(deaths, lambda d: isinf(d))) > 0))""",
    ),
    Rule(
        "bars_die_after_their_birth",
        "persistence_diagrams",
        "every bar has a birth, a death, and a positive length",
        """SELECT run_number, embedding_model, homology_dimension FROM persistence_diagrams
           WHERE experiment = $experiment AND (len(births) != len(deaths) OR list_bool_or(
             list_transform(list_zip(births, deaths), lambda b: coalesce(NOT (b[2] > b[1]) OR isnan(b[2]), true))))""",
    ),
    Rule(
        "assignments_have_their_cluster",
        "clusters",
        "each assigned point has its embedding, and its cluster is one of its clustering or -1",
        """SELECT a.embedding_model, a.experiment, a.run_number, a.sequence_number, a.cluster, a.clustering_id
           FROM cluster_assignments a
           LEFT JOIN clusters c ON c.clustering_id = a.clustering_id AND c.cluster = a.cluster
           LEFT JOIN clusterings g ON g.clustering_id = a.clustering_id
           LEFT JOIN embeddings e ON e.experiment = a.experiment AND e.run_number = a.run_number
             AND e.sequence_number = a.sequence_number AND e.embedding_model = a.embedding_model AND e.space = g.space
           WHERE g.clustering_id IS NULL OR e.space IS NULL OR (a.cluster != -1 AND c.cluster IS NULL)""",
        partition=None,
    ),
    Rule(
        "medoids_are_members",
        "clusters",
        "the medoid of a cluster is assigned to it",
        """SELECT c.embedding_model, c.cluster, c.clustering_id FROM clusters c
           LEFT JOIN cluster_assignments a ON a.clustering_id = c.clustering_id AND a.cluster = c.cluster
             AND a.experiment = c.medoid_experiment AND a.run_number = c.medoid_run_number
             AND a.sequence_number = c.medoid_sequence_number
           WHERE a.cluster IS NULL""",
        partition=None,
    ),
    Rule(
        "cluster_sizes_add_up",
        "clusters",
        "cluster sizes and outliers add up to the points of the clustering",
        """SELECT g.embedding_model, g.points, count(a.cluster) AS assigned, g.clustering_id FROM clusterings g
           LEFT JOIN cluster_assignments a ON a.clustering_id = g.clustering_id
           GROUP BY g.clustering_id, g.embedding_model, g.points HAVING count(a.cluster) != g.points
           UNION ALL
           SELECT c.embedding_model, c.size, count(a.cluster), c.clustering_id FROM clusters c
           LEFT JOIN cluster_assignments a ON a.clustering_id = c.clustering_id AND a.cluster = c.cluster
           GROUP BY c.clustering_id, c.embedding_model, c.cluster, c.size HAVING count(a.cluster) != c.size""",
        partition=None,
    ),
)
