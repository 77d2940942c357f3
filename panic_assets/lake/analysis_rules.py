"""What must be true of the rows of any analysis; see ``rules`` for what a rule is."""

from __future__ import annotations

from panic_assets.lake.rules import Rule

DISTANCES = Rule(
    "distances_are_distances",
    "diagram_distances",
    "distances are between two runs that are there, not negative, and 1-Wasserstein is no less than bottleneck",
    """SELECT d.run_a, d.run_b, d.embedding_model, d.homology_dimension FROM diagram_distances d
       LEFT JOIN runs_only a ON a.experiment = d.experiment AND a.run_number = d.run_a
       LEFT JOIN runs_only b ON b.experiment = d.experiment AND b.run_number = d.run_b
       WHERE d.experiment = $experiment AND (a.run_number IS NULL OR b.run_number IS NULL OR d.run_a >= d.run_b
         OR NOT d.wasserstein_1 >= 0 OR isnan(d.wasserstein_1)
         OR d.wasserstein_1 < d.bottleneck - 1e-9 * (1 + d.bottleneck))""",
)


def soundness_of(analysis: str) -> Rule:
    """The rule that every analysis must keep."""
    return Rule(
        f"{analysis}_is_sound",
        analysis,
        "intervals are in order, probabilities in 0 to 1, and everything is about runs and networks that are there",
        f"""SELECT 'dynamics' AS place, statistic AS what, network AS about FROM dynamics d
            WHERE experiment = $experiment AND analysis = '{analysis}' AND (low > high OR NOT coalesce(runs >= 0, false)
              OR NOT coalesce(p_value BETWEEN 0 AND 1, true) OR NOT coalesce(p_adjusted BETWEEN 0 AND 1, true)
              OR p_adjusted < p_value
              OR (network != '' AND network NOT IN (SELECT network FROM runs_only WHERE experiment = $experiment)))
            UNION ALL
            SELECT 'run_statistics', statistic, CAST(run_number AS VARCHAR) FROM run_statistics
            WHERE experiment = $experiment AND analysis = '{analysis}' AND (low > high
              OR run_number NOT IN (SELECT run_number FROM runs_only WHERE experiment = $experiment))
            UNION ALL
            SELECT 'curves', curve, network FROM curves
            WHERE experiment = $experiment AND analysis = '{analysis}' AND (low > high OR isnan(x)
              OR (network != '' AND network NOT IN (SELECT network FROM runs_only WHERE experiment = $experiment)))""",
    )
