"""From an experiment to its runs: expansion, identities, numbers that stay.

Here belongs what is to be run, and how it joins what the lake already holds. Running it belongs to the engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from panic_assets.errors import PanicError
from panic_assets.experiment import UNSEEDED, Experiment
from panic_assets.lake import Lake, images
from panic_assets.loop.ids import content_id
from panic_assets.models.registry import ModelEntry, Registry

ARROW = " -> "
_KNOWN = ["network", "prompt", "prompt_number", "seed", "replicate", "run_number", "run_id"]


class ChangedExperiment(PanicError):
    """The file asks for other model settings than those of the runs that the lake holds under the same name."""


@dataclass(frozen=True)
class RunPlan:
    """One run: a network from a prompt with a seed. ``run_number`` is its place in the experiment, for good."""

    run_number: int
    run_id: bytes
    models: tuple[str, ...]
    prompt_number: int
    prompt: str
    seed: int
    replicate: int
    max_length: int

    @property
    def network(self) -> str:
        """The ring as one string."""
        return ARROW.join(self.models)

    @property
    def is_seeded(self) -> bool:
        """Whether the run repeats when it is run again, and so can have a true cycle."""
        return self.seed != UNSEEDED


def resolve_models(experiment: Experiment, registry: Registry) -> dict[str, ModelEntry]:
    """The entries of all models that the experiment names, with its overrides applied."""
    changed = registry.with_overrides(experiment.models)
    return {name: changed[name] for name in sorted(experiment.called_models)}


def plan_runs(
    experiment: Experiment,
    models: Mapping[str, ModelEntry],
    existing: pa.Table | None = None,
    before: Mapping[str, Any] | None = None,
) -> list[RunPlan]:
    """All runs of the experiment, in the order of their numbers.

    ``existing`` holds the rows of the ``runs`` table, if any: a run that is there already keeps its number and new
    runs get the next ones, so that an experiment can grow. Runs that the file no longer names stay out of the plan.
    ``before`` is the ``config`` that the lake holds, which lets an error say what has changed.

    Raises:
        ChangedExperiment: an existing run has the same network, prompt, seed and replicate, but other model settings,
            or pictures of another lossy format.
    """
    known: dict[tuple[Any, ...], tuple[int, bytes]] = {}
    prompt_numbers: dict[str, int] = {}
    for row in existing.select(_KNOWN).to_pylist() if existing is not None else ():
        known[(row["network"], row["prompt"], row["seed"], row["replicate"])] = (row["run_number"], row["run_id"])
        prompt_numbers[row["prompt"]] = row["prompt_number"]
    new_number = max((number for number, _ in known.values()), default=-1) + 1
    for prompt in experiment.prompts:
        prompt_numbers.setdefault(prompt.text, max(prompt_numbers.values(), default=-1) + 1)
    plans = []
    for network in experiment.networks:
        settings = _settings(experiment, network, models)
        for prompt in experiment.prompts:
            for replicate, seed in _replicates(experiment.seeds):
                run_id = content_id(settings | {"prompt": prompt.text, "seed": seed, "replicate": replicate})
                key = (ARROW.join(network), prompt.text, seed, replicate)
                number, known_id = known.get(key, (new_number, run_id))
                if known_id != run_id:
                    raise ChangedExperiment(_what_changed(experiment, models, network, number, before or {}))
                new_number += number == new_number
                prompt_number, length = prompt_numbers[prompt.text], experiment.max_length
                plans.append(RunPlan(number, run_id, network, prompt_number, prompt.text, seed, replicate, length))
    return sorted(plans, key=lambda plan: plan.run_number)


def _settings(experiment: Experiment, network: tuple[str, ...], models: Mapping[str, ModelEntry]) -> dict[str, Any]:
    """All that the outputs of a ring depend on, prompt and seed apart: it enters the identity of its runs.

    A lossy format is part of it, because models are then fed what was read back from it.
    """
    settings: dict[str, Any] = {"config": {name: models[name].identity for name in network}, "network": network}
    has_pictures = any(models[name].gives == "image" for name in network)
    if has_pictures and not images.is_lossless(experiment.image_format):
        settings["image_format"] = images.identity(experiment.image_format)
    return settings


def _what_changed(
    experiment: Experiment,
    models: Mapping[str, ModelEntry],
    network: tuple[str, ...],
    number: int,
    before: Mapping[str, Any],
) -> str:
    """The text of `ChangedExperiment`: which models, or which format, and what to do."""
    identities = before.get("resolved_models", {})
    others = [name for name in dict.fromkeys(network) if identities.get(name) not in (None, models[name].identity)]
    changes = [f"other settings of {' and '.join(others)}"] if others else []
    image_format = before.get("image_format", experiment.image_format)
    if image_format != experiment.image_format:
        changes.append(f"image_format {image_format}, not {experiment.image_format}")
    if not changes and images.identity(image_format) != image_format:
        changes.append(f"another model of image_format {image_format}")
    return (
        f"experiment {experiment.name}: the lake holds run {number} ({ARROW.join(network)}) made with "
        f"{' and '.join(changes) or 'other model settings'} than the file now asks for. Give the file a new name to "
        f"keep both, or delete the experiment from the lake to start again (panic delete {experiment.name})"
    )


def register(lake: Lake, experiment: Experiment, models: Mapping[str, ModelEntry]) -> list[RunPlan]:
    """Write the tables ``experiments``, ``prompts`` and ``runs`` and return the plan; nothing is written if equal.

    Runs of the lake that the file no longer names are kept: an experiment only grows. An imported experiment has no
    plan: its runs are what was imported.

    Raises:
        ChangedExperiment: see `plan_runs`; nothing was written.
        LakeError: a table can't be read or written.
    """
    key = experiment.name
    held, before = lake.read("runs", key), lake.read("experiments", key).to_pylist()
    old_config = json.loads(before[0]["config"]) if before else {}
    plans = [] if experiment.imported_from else plan_runs(experiment, models, held, old_config)
    planned = {plan.run_number for plan in plans}
    kept = [row for row in held.to_pylist() if row["run_number"] not in planned]
    runs = kept + [run_row(key, plan) for plan in plans]
    prompts = {row["prompt_number"]: row for row in lake.read("prompts", key).to_pylist()}
    tags = {prompt.text: prompt.tags for prompt in experiment.prompts}
    for plan in plans:
        tag = _json(tags[plan.prompt]) if tags[plan.prompt] else None
        row = {"experiment": key, "prompt_number": plan.prompt_number, "prompt": plan.prompt, "tags": tag}
        prompts[plan.prompt_number] = row
    # Models that the file no longer names are remembered for the runs that are kept.
    identities = old_config.get("resolved_models", {}) | {name: entry.identity for name, entry in models.items()}
    config = experiment.config | {"resolved_models": identities}
    described = {
        "experiment": key,
        "experiment_id": content_id(config).hex(),
        "config": _json(config),
        "description": experiment.description or None,
        "max_length": experiment.max_length,
        "cycle_policy": experiment.cycle,
        "image_format": experiment.image_format,
    }
    created = before[0]["created_at"] if before else datetime.now(UTC)
    # The description first: a run is never there without the settings that it is to be made with.
    replace_rows(lake, "experiments", key, [described | {"created_at": created}])
    replace_rows(lake, "prompts", key, [prompts[number] for number in sorted(prompts)])
    replace_rows(lake, "runs", key, sorted(runs, key=lambda row: row["run_number"]))
    return plans


def _replicates(seeds: tuple[int, ...]) -> list[tuple[int, int]]:
    """(replicate, seed) pairs: a seed is its own replicate 0, the unseeded ones are counted."""
    pairs, unseeded = [], 0
    for seed in seeds:
        pairs.append((unseeded if seed == UNSEEDED else 0, seed))
        unseeded += seed == UNSEEDED
    return pairs


def run_row(experiment: str, plan: RunPlan) -> dict[str, Any]:
    """The plan as a row of the table ``runs``."""
    return {
        "experiment": experiment,
        "run_number": plan.run_number,
        "run_id": plan.run_id,
        "network": plan.network,
        "models": list(plan.models),
        "prompt_number": plan.prompt_number,
        "prompt": plan.prompt,
        "seed": plan.seed,
        "replicate": plan.replicate,
        "max_length": plan.max_length,
    }


def replace_rows(lake: Lake, table: str, key: str, rows: list[dict[str, Any]]) -> None:
    """Make ``rows`` the content of a partition, unless they are it already."""
    if lake.read(table, key).to_pylist() == rows:
        return
    with lake.writer(table, key) as writer:
        writer.replace(rows, {})
        writer.commit()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
