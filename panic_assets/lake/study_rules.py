"""What must be true of the rows of a study; see ``rules`` for what a rule is.

`STUDY_RULES` are all of them. Those of `DOUBTS` tell of trainings and measures that are not what they should be, and of
a study that is not complete: there is nothing in the lake that could be mended. Those of `TIES` tell of rows whose
origin is gone.
"""

from __future__ import annotations

from panic_assets.lake.rules import Rule
from panic_assets.lake.specs import STUDY_KEY

#: How far a spectral norm may lie above what was asked for: power iteration ends a little early.
SIGMA_TOLERANCE = 1e-3
#: What sums and square roots of float32 numbers may be off by.
_SLACK = 1e-6


def _of_a_trial(name: str, table: str, what: str) -> Rule:
    return Rule(
        name,
        table,
        f"{what} is of a trial that is there",
        f"""SELECT trial_id, count(*) AS rows FROM {table} ANTI JOIN
            (SELECT trial_id FROM trials WHERE study = $study) USING (trial_id)
            WHERE study = $study GROUP BY trial_id""",
        STUDY_KEY,
    )


TIES = (
    Rule(
        "every_trial_has_its_model_run",
        "trials",
        "each trial belongs to a model run that is there",
        """SELECT trial_id, model_run_id FROM trials WHERE study = $study AND model_run_id NOT IN
           (SELECT model_run_id FROM model_runs WHERE study = $study)""",
        STUDY_KEY,
    ),
    _of_a_trial("every_metric_has_its_trial", "trial_metrics", "what was measured in training"),
    Rule(
        "every_artifact_has_its_origin",
        "artifacts",
        "each artifact is of a model run that is there, and of a trial of it where it names one",
        """SELECT artifact_id, model_run_id, trial_id FROM artifacts WHERE study = $study AND (
             model_run_id NOT IN (SELECT model_run_id FROM model_runs WHERE study = $study)
             OR (trial_id IS NOT NULL AND trial_id NOT IN (SELECT trial_id FROM trials WHERE study = $study)))""",
        STUDY_KEY,
    ),
    _of_a_trial("every_bound_has_its_trial", "lipschitz", "each norm and bound"),
    _of_a_trial("every_robustness_has_its_trial", "robustness", "each measure under disturbance"),
    Rule(
        "comparisons_are_of_their_trials",
        "study_comparison",
        "a comparison is of completed trials that are there: it counts no more pairs of arm and reference than there "
        "are, and no more that the arm won",
        """WITH done AS (SELECT mode, arm, pair FROM trials WHERE study = $study AND state = 'completed')
           SELECT c.mode, c.arm, c.metric, c.pairs, c.wins, count(a.pair) AS pairs_there FROM study_comparison c
           LEFT JOIN (SELECT DISTINCT mode, arm, pair FROM done) a ON a.mode = c.mode AND a.arm = c.arm
             AND (c.mode = 'search' OR EXISTS (FROM done b WHERE b.mode = c.mode AND b.arm = c.reference
                                               AND b.pair = a.pair))
           WHERE c.study = $study GROUP BY c.mode, c.arm, c.metric, c.pairs, c.wins
           HAVING c.pairs > count(a.pair) OR c.wins > c.pairs OR c.wins < 0""",
        STUDY_KEY,
    ),
)

DOUBTS = (
    Rule(
        "every_trial_tells_its_constraint",
        "trials",
        "each trial says whether weights are divided by their spectral norm, and its parameters say the same",
        """SELECT trial_id, arm, spectral_norm, told FROM (
             SELECT *, CASE WHEN json_valid(parameters) THEN lower(json(parameters)->>'$.spectral_norm') END AS told
             FROM trials WHERE study = $study)
           WHERE spectral_norm IS NULL OR (told IS NULL AND mode IS NOT NULL)
             OR (told IS NOT NULL AND told NOT IN (CAST(spectral_norm AS VARCHAR), CAST(CAST(spectral_norm AS INTEGER)
                 AS VARCHAR)))""",
        STUDY_KEY,
    ),
    Rule(
        "completed_trials_have_their_checkpoint",
        "artifacts",
        "each completed trial has a checkpoint, or a warning that says why not",
        """SELECT t.trial_id, t.arm, t.pair FROM trials t
           ANTI JOIN (SELECT trial_id FROM artifacts WHERE study = $study AND kind LIKE '%checkpoint%') a
             ON a.trial_id = t.trial_id
           WHERE t.study = $study AND t.state = 'completed' AND t.artifact_uri IS NULL AND len(t.warnings) = 0""",
        STUDY_KEY,
    ),
    Rule(
        "spectral_norms_keep_to_their_coefficient",
        "lipschitz",
        "where weights are divided by their spectral norm, no layer's is above the coefficient",
        f"""SELECT l.trial_id, l.layer_name, l.value, c.coefficient FROM lipschitz l
            JOIN (SELECT trial_id, coalesce(TRY_CAST(json(parameters)->>'$.coefficient' AS DOUBLE), 1) AS coefficient
                  FROM trials WHERE study = $study AND spectral_norm AND state = 'completed' AND json_valid(parameters))
              c USING (trial_id)
            WHERE l.study = $study AND l.quantity = 'reshaped_sigma'
              AND NOT l.value <= c.coefficient * (1 + {SIGMA_TOLERANCE}) + {_SLACK}""",
        STUDY_KEY,
    ),
    Rule(
        "bounds_are_in_order",
        "lipschitz",
        "no lower bound is above the upper one, no operator norm above its bound, and none is negative",
        f"""SELECT trial_id, layer, min(value) AS least, max(value) AS greatest FROM lipschitz WHERE study = $study
            GROUP BY trial_id, layer HAVING min(value) < 0 OR bool_or(isnan(value))
              OR max(value) FILTER (quantity = 'lower') > max(value) FILTER (quantity = 'upper') * (1 + {_SLACK})
              OR max(value) FILTER (quantity = 'operator_norm')
                 > max(value) FILTER (quantity = 'fft_bound') * (1 + {_SLACK})""",
        STUDY_KEY,
    ),
    Rule(
        "certified_accuracy_is_no_promise_too_much",
        "robustness",
        "accuracies are shares, and what is certified at a size of disturbance is withstood when it is attacked",
        f"""SELECT trial_id, attack, norm, epsilon, value, NULL AS attacked FROM robustness
            WHERE study = $study AND metric = 'accuracy' AND NOT value BETWEEN 0 AND 1
            UNION ALL
            SELECT c.trial_id, c.attack, c.norm, c.epsilon, c.value, p.value FROM robustness c
            JOIN robustness p ON p.study = c.study AND p.trial_id = c.trial_id AND p.norm = c.norm
              AND p.epsilon = c.epsilon AND p.metric = c.metric AND p.rows = c.rows
            WHERE c.study = $study AND c.attack = 'certified' AND c.norm = 'l2' AND c.metric = 'accuracy'
              AND p.attack IN ('pgd', 'fgsm') AND c.value > p.value + {_SLACK}""",
        STUDY_KEY,
    ),
    Rule(
        "arms_and_pairs_are_complete",
        "study_comparison",
        "each pair has one completed trial in every arm that is compared",
        """WITH compared AS (SELECT * FROM trials WHERE study = $study AND mode = 'comparison')
           SELECT arms.arm, pairs.pair, count(t.trial_id) AS completed
           FROM (SELECT DISTINCT arm FROM compared) arms CROSS JOIN (SELECT DISTINCT pair FROM compared) pairs
           LEFT JOIN compared t ON t.arm = arms.arm AND t.pair = pairs.pair AND t.state = 'completed'
           GROUP BY arms.arm, pairs.pair HAVING count(t.trial_id) != 1""",
        STUDY_KEY,
    ),
)

STUDY_RULES = (*TIES, *DOUBTS)
