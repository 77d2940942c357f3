"""The integrity rules: what must be true between and within tables, as SQL that finds the rows that break it.

Here belong the rules alone; the asset checks and whoever else examines a lake run them. Each query runs on the views of
:func:`panic_assets.lake.connect` and selects broken rows, of which ``$experiment`` (where the rule is for one) is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb


@dataclass(frozen=True)
class Rule:
    """``name`` in snake case; ``asset`` whose rows it judges; ``meaning`` for the person who reads a failure."""

    name: str
    asset: str
    meaning: str
    broken: str
    of_experiment: bool = True


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


def judge(connection: duckdb.DuckDBPyConnection, rule: Rule, experiment: str | None = None) -> Verdict:
    """Run one rule."""
    parameters = {"experiment": experiment} if rule.of_experiment else {}
    count = connection.execute(f"SELECT count(*) FROM ({rule.broken})", parameters).fetchall()[0][0]
    examples: list[dict[str, Any]] = []
    if count:
        found = connection.execute(f"SELECT * FROM ({rule.broken}) LIMIT 5", parameters)
        names = [column[0] for column in found.description or []]
        examples = [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]
    return Verdict(rule, count, examples)


def rules_of(asset: str) -> list[Rule]:
    """The rules for one asset."""
    return [rule for rule in RULES if rule.asset == asset]


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value if isinstance(value, int | float | str) else str(value)


RULES = (
    Rule(
        "every_run_has_its_prompt",
        "runs",
        "each run's prompt number and text are in the table of prompts",
        """SELECT r.run_number, r.prompt FROM runs_only r
           LEFT JOIN prompts p ON p.experiment = r.experiment AND p.prompt_number = r.prompt_number AND p.prompt = r.prompt
           WHERE r.experiment = $experiment AND p.prompt IS NULL""",
    ),
    Rule(
        "runs_are_distinct",
        "runs",
        "run numbers and run identities are unique",
        """SELECT run_id, count(*) AS times FROM runs_only WHERE experiment = $experiment
           GROUP BY run_id HAVING count(*) > 1""",
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
        "the length of an outcome is the number of its invocations, and a cycle lies within it",
        """SELECT o.run_number, o.length, coalesce(i.rows, 0) AS invocations, o.stop_reason FROM outcomes o
           LEFT JOIN (SELECT experiment, run_number, count(*) AS rows FROM invocations GROUP BY ALL) i
             ON i.experiment = o.experiment AND i.run_number = o.run_number
           WHERE o.experiment = $experiment AND (
             o.length != coalesce(i.rows, 0)
             OR o.stop_reason NOT IN ('length', 'cycle', 'failed', 'quality')
             OR (o.stop_reason = 'cycle' AND (o.cycle_length IS NULL OR o.transient_length + o.cycle_length >= o.length))
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
        "a text has a text and no image, an image has an image and no text, and a model always gives the same medium",
        """SELECT run_number, sequence_number, type FROM invocations WHERE experiment = $experiment
             AND NOT ((type = 'text' AND text IS NOT NULL AND image_hash IS NULL)
                   OR (type = 'image' AND text IS NULL AND image_hash IS NOT NULL))
           UNION ALL
           SELECT min(run_number), min(sequence_number), model FROM invocations WHERE experiment = $experiment
           GROUP BY model HAVING count(DISTINCT type) > 1""",
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
        "an embedding model has a vector for every output of the media that it embeds",
        """WITH kinds AS (SELECT DISTINCT embedding_model, modality FROM embeddings
                          WHERE experiment = $experiment AND sequence_number >= 0)
           SELECT k.embedding_model, i.run_number, i.sequence_number FROM invocations i
           JOIN kinds k ON k.modality = i.type
           LEFT JOIN embeddings e ON e.experiment = i.experiment AND e.run_number = i.run_number
             AND e.sequence_number = i.sequence_number AND e.embedding_model = k.embedding_model
           WHERE i.experiment = $experiment AND e.vector IS NULL""",
    ),
    Rule(
        "vectors_are_sound",
        "embeddings",
        "vectors are finite, of one dimension in a space, and of length 1 where the space says normalised",
        """SELECT run_number, sequence_number, embedding_model, len(vector) AS dimension FROM embeddings
           WHERE experiment = $experiment AND (
             len(list_filter(vector, lambda x: x IS NULL OR NOT isfinite(x))) > 0
             OR len(vector) != CAST(split_part(space, '/', -2) AS INTEGER)
             OR (space LIKE '%/normalised' AND abs(sqrt(list_dot_product(vector, vector)) - 1) > 1e-3))""",
    ),
    Rule(
        "every_trajectory_has_its_diagrams",
        "persistence_diagrams",
        "each trajectory has one diagram in each homology dimension, none twice, unless it is marked",
        """WITH t AS (SELECT DISTINCT run_number, embedding_model, modality FROM embeddings
                      WHERE experiment = $experiment AND sequence_number >= 0),
                d AS (SELECT run_number, embedding_model, modality, count(*) AS rows,
                             count(DISTINCT homology_dimension) AS dimensions, any_value(status) AS status
                      FROM persistence_diagrams WHERE experiment = $experiment GROUP BY ALL)
           SELECT run_number, embedding_model, modality, d.rows FROM t FULL JOIN d
             USING (run_number, embedding_model, modality)
           WHERE d.rows IS NULL OR d.rows != d.dimensions
             OR (d.dimensions != 3 AND d.status NOT IN ('incomplete', 'too_few_points'))""",
    ),
    Rule(
        "one_component_lives_for_ever",
        "persistence_diagrams",
        "a diagram in dimension 0 has exactly one infinite bar, in the others of a complete one there is none",
        """SELECT run_number, embedding_model, homology_dimension, status FROM persistence_diagrams
           WHERE experiment = $experiment AND status IN ('complete', 'thresholded') AND (
             (homology_dimension = 0 AND threshold IS NULL AND len(list_filter(deaths, lambda d: isinf(d))) != 1)
             OR (homology_dimension > 0 AND threshold IS NULL AND len(list_filter(deaths, lambda d: isinf(d))) > 0)
             OR len(births) != len(deaths))""",
    ),
    Rule(
        "bars_die_after_their_birth",
        "persistence_diagrams",
        "every bar has a positive length",
        """SELECT run_number, embedding_model, homology_dimension FROM persistence_diagrams
           WHERE experiment = $experiment AND list_bool_or(
             list_transform(list_zip(births, deaths), lambda b: NOT (b[2] > b[1])))""",
    ),
    Rule(
        "assignments_have_their_cluster",
        "clusters",
        "each assigned point has its embedding, and its cluster is one of its clustering or -1",
        """SELECT a.embedding_model, a.experiment, a.run_number, a.sequence_number, a.cluster FROM cluster_assignments a
           LEFT JOIN clusters c ON c.clustering_id = a.clustering_id AND c.cluster = a.cluster
           LEFT JOIN clusterings g ON g.clustering_id = a.clustering_id
           WHERE g.clustering_id IS NULL OR (a.cluster != -1 AND c.cluster IS NULL)""",
        of_experiment=False,
    ),
    Rule(
        "medoids_are_members",
        "clusters",
        "the medoid of a cluster is assigned to it",
        """SELECT c.embedding_model, c.cluster FROM clusters c
           LEFT JOIN cluster_assignments a ON a.clustering_id = c.clustering_id AND a.cluster = c.cluster
             AND a.experiment = c.medoid_experiment AND a.run_number = c.medoid_run_number
             AND a.sequence_number = c.medoid_sequence_number
           WHERE a.cluster IS NULL""",
        of_experiment=False,
    ),
    Rule(
        "cluster_sizes_add_up",
        "clusters",
        "cluster sizes and outliers add up to the points of the clustering",
        """SELECT g.embedding_model, g.points, count(a.cluster) AS assigned FROM clusterings g
           LEFT JOIN cluster_assignments a ON a.clustering_id = g.clustering_id
           GROUP BY g.clustering_id, g.embedding_model, g.points HAVING count(a.cluster) != g.points
           UNION ALL
           SELECT c.embedding_model, c.size, count(a.cluster) FROM clusters c
           LEFT JOIN cluster_assignments a ON a.clustering_id = c.clustering_id AND a.cluster = c.cluster
           GROUP BY c.clustering_id, c.embedding_model, c.cluster, c.size HAVING count(a.cluster) != c.size""",
        of_experiment=False,
    ),
)
