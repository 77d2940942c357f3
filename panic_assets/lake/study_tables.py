"""The tables of studies: trainings under constraints, what was measured of them, and how the constraints compare.

Here belong declarations alone. They are partitioned by study: a study and an experiment may bear the same name and
have nothing to do with one another. A trial is named by ``trial_id`` everywhere; texts that hold JSON say so.
"""

from __future__ import annotations

import pyarrow as pa

from panic_assets.lake.specs import STRINGS, STUDY, STUDY_KEY, Column, TableSpec, number, text, time

_MODEL_RUN = text("model_run_id", "Identity of the model run: one execution of a study that trials belong to.")
_TRIAL = text("trial_id", "Identity of the trial: one training with its hyperparameters, data and seed.")
_SOURCE = text("source", "Who reported it, such as panic-assets or the name of a client.")
_MODE = "search (hyperparameters are looked for) or comparison (paired trials of the arms)"
_WORKED = (
    time("started_at", "When work on it began.", nullable=True),
    time("finished_at", "When it ended.", nullable=True),
)
_ERROR = text("error_message", "Why it failed.", nullable=True)

STUDY_TABLES = (
    TableSpec(
        "model_runs",
        "Executions of a study: what was asked for, and how far it came.",
        (
            STUDY,
            _MODEL_RUN,
            _SOURCE,
            text("state", "pending, running, completed, failed, cancelled or timed_out."),
            text("spec", "The study file with its defaults, as JSON.", nullable=True),
            number("requested_trials", pa.int32(), "Trials that were asked for.", "trials", nullable=True),
            number("completed_trials", pa.int32(), "Trials that are completed.", "trials"),
            number("best_metric", pa.float64(), "Best value of the study's metric, by its direction.", nullable=True),
            text("best_trial_id", "The trial that has it.", nullable=True),
            text("mlflow_experiment_id", "MLflow's identity of the experiment that logs it.", nullable=True),
            _ERROR,
            text("metadata", "What else was reported, as a JSON object.", nullable=True),
            *_WORKED,
        ),
        key=("study", "model_run_id"),
        sort=("study", "model_run_id"),
        partition=STUDY_KEY,
    ),
    TableSpec(
        "trials",
        "Trainings: what was set, and what it came to.",
        (
            STUDY,
            _TRIAL,
            _MODEL_RUN,
            _SOURCE,
            text("mode", f"{_MODE}; null where a client says nothing of it.", nullable=True),
            text("arm", "Constraint under which it trains, such as none or spectral_norm.", nullable=True),
            number("pair", pa.int32(), "Trials of one pair differ by their arm alone.", nullable=True),
            number("seed", pa.int64(), "Seed of its initial weights and batches.", nullable=True),
            text("state", "pending, running, completed, failed, cancelled or timed_out."),
            Column("spectral_norm", pa.bool_(), "", "Whether weights are divided by their spectral norm."),
            text("parameters", "All hyperparameters, as a JSON object."),
            text("metrics", "Last measures, as a JSON object of numbers; null stands for NaN."),
            text("mlflow_run_id", "MLflow's identity of its run.", nullable=True),
            text("artifact_uri", "Where its checkpoint lies.", nullable=True),
            number("duration_ms", pa.int64(), "Time that it took.", "ms", nullable=True),
            number("rank", pa.int32(), "Its place among the trials of the study, 1 is the best.", nullable=True),
            Column("warnings", STRINGS, "", "What is doubtful of it."),
            text("candidate_id", "The client's name of what it tries.", nullable=True),
            text("error_type", "Kind of failure, such as nan_loss, OOM or timeout.", nullable=True),
            _ERROR,
            *_WORKED,
        ),
        key=("study", "trial_id"),
        sort=("study", "trial_id"),
        partition=STUDY_KEY,
    ),
    TableSpec(
        "trial_metrics",
        "Measures of each trial while it trained.",
        (
            STUDY,
            _TRIAL,
            text("metric", "What was measured, such as validation_loss; sigma/<layer> are spectral norms."),
            number("step", pa.int64(), "Epoch, or what the client counts by."),
            number("value", pa.float64(), "The number; null where training gave NaN or infinity.", nullable=True),
            time("reported_at", "When it was reported."),
        ),
        key=("study", "trial_id", "metric", "step"),
        sort=("study", "trial_id", "metric", "step"),
        partition=STUDY_KEY,
    ),
    TableSpec(
        "artifacts",
        "Files that trials made; they lie outside the lake.",
        (
            STUDY,
            text("artifact_id", "Identity of the artifact."),
            _MODEL_RUN,
            text("trial_id", "The trial that made it; null: the model run did.", nullable=True),
            text("kind", "What it is, such as checkpoint or figure."),
            text("uri", "Where it lies."),
            text("checksum", "SHA-256 of its content, as 64 hexadecimal digits."),
            number("bytes", pa.int64(), "Its size.", "bytes", nullable=True),
            text("media_type", "Its media type, such as application/octet-stream."),
            text("status", "created, promoted or archived."),
            time("created_at", "When it was reported."),
        ),
        key=("study", "artifact_id"),
        sort=("study", "artifact_id"),
        partition=STUDY_KEY,
    ),
    TableSpec(
        "lipschitz",
        "How far a trained model can stretch: of its layers and of the whole.",
        (
            STUDY,
            _TRIAL,
            number("layer", pa.int32(), "Place of the layer, from 0; -1 is the whole model."),
            text("layer_name", "Name of the layer; empty for the whole model."),
            text(
                "quantity",
                "reshaped_sigma (spectral norm of the weights as a matrix), operator_norm (of the map), fft_bound "
                "(a rigorous bound of a convolution's), coefficient (the bound that was asked for), and of the whole "
                "model upper and lower bounds of its Lipschitz constant.",
            ),
            number("value", pa.float64(), "The number."),
        ),
        key=("study", "trial_id", "layer", "quantity"),
        sort=("study", "trial_id", "layer", "quantity"),
        partition=STUDY_KEY,
    ),
    TableSpec(
        "robustness",
        "What a trained model still knows when its inputs are disturbed.",
        (
            STUDY,
            _TRIAL,
            text("attack", "none, fgsm, pgd, noise, certified or rollout."),
            text("norm", "l2 or linf; empty where none is concerned."),
            number("epsilon", pa.float64(), "Size of the disturbance in that norm; of a rollout the horizon."),
            text("metric", "What was measured, such as accuracy or loss."),
            number("value", pa.float64(), "The number; null where it can't be told.", nullable=True),
            number("rows", pa.int32(), "Test inputs that it was measured on.", "inputs"),
        ),
        key=("study", "trial_id", "attack", "norm", "epsilon", "metric"),
        sort=("study", "trial_id", "attack", "norm", "epsilon", "metric"),
        partition=STUDY_KEY,
    ),
    TableSpec(
        "study_comparison",
        "How each arm differs from the reference in each measure, over pairs of trials.",
        (
            STUDY,
            text("mode", f"Trials that are compared: {_MODE}."),
            text("arm", "The arm."),
            text("reference", "The arm that it is compared with."),
            text("metric", "The measure."),
            number("pairs", pa.int32(), "Pairs of completed trials.", "pairs"),
            number("arm_mean", pa.float64(), "Mean of the arm; NaN without pairs, as the next four."),
            number("reference_mean", pa.float64(), "Mean of the reference."),
            number("difference", pa.float64(), "Mean of arm minus reference."),
            number("low", pa.float64(), "Lower end of the difference's interval."),
            number("high", pa.float64(), "Upper end of the difference's interval."),
            number("confidence", pa.float64(), "Confidence of the interval, 0 to 1."),
            number(
                "ratio", pa.float64(), "Arm over reference (geometric mean), of costs and constants.", nullable=True
            ),
            number("effect_size", pa.float64(), "Difference over the spread of differences.", nullable=True),
            number("p_value", pa.float64(), "Of a paired t test.", nullable=True),
            number("permutation_p", pa.float64(), "Of the exact test by flipped signs.", nullable=True),
            number("adjusted_p", pa.float64(), "permutation_p for all measures and arms at once.", nullable=True),
            number("wins", pa.int32(), "Pairs in which the arm is better, or else higher.", "pairs"),
            Column("is_claim", pa.bool_(), "", "Whether the study was made to tell this difference."),
            text("sentence", "What the claim came to, to be quoted; null beside the claim.", nullable=True),
        ),
        key=("study", "mode", "arm", "metric"),
        sort=("study", "mode", "arm", "metric"),
        partition=STUDY_KEY,
    ),
)
