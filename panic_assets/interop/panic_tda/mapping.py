"""From names and numbers of PANIC-TDA to those of the lake: partitions, experiments, runs, models.

Here belongs what a thing of the source is called here, as functions of the source and of what the lake holds already,
so that a second import gives the same names. Nothing is read from the source or written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from panic_assets.experiment import UNSEEDED, Experiment
from panic_assets.interop.panic_tda.records import SourceExperiment, SourceRun
from panic_assets.loop.ids import content_id
from panic_assets.loop.planning import RunPlan

SYSTEM = "panic-tda"
#: Before the name of an embedding model whose vectors came with the import.
IMPORTED = "imported/"
_KEY_DIGITS = 8


def experiment_key(source_id: str, is_taken: Callable[[str], bool]) -> str:
    """The partition of an experiment: ``tda-`` and as many digits of its identifier as tell it from others.

    ``is_taken`` says whether something else bears a name.
    """
    digits = _KEY_DIGITS
    while digits < len(source_id) and is_taken(f"tda-{source_id[:digits]}"):
        digits += 1
    return f"tda-{source_id[:digits]}"


def model_name(name: str) -> str:
    """What an embedding model of the source is called here, so that ours of the same name can stand beside it."""
    return f"{IMPORTED}{name}"


def space_name(name: str, dimension: int, is_unit: bool) -> str:
    """The space of imported vectors; what made them is not known to the bit, so their revision is ``unknown``."""
    return f"{model_name(name)}@unknown/{dimension}/{'normalised' if is_unit else 'raw'}"


def run_identity(source_id: str) -> bytes:
    """16 bytes that identify a run: a hash of the identifier that the source gave it."""
    return content_id({"system": SYSTEM, "run": source_id})


def experiment_of(
    key: str, source: SourceExperiment, file_name: str, before: Mapping[str, Any] | None = None
) -> Experiment:
    """The experiment file of an import: what the source asked for, without repeats, and no embedding model of ours.

    ``before`` is what the file says now: embedding models, tags and words that a person put there stay.

    Raises:
        ExperimentError: the source asks for something that no experiment can be, such as no network at all.
    """
    before = before or {}
    tags = {prompt["text"]: prompt.get("tags", {}) for prompt in before.get("prompts", [])}
    values = {
        "name": key,
        "description": f"Imported from the PANIC-TDA database {file_name}, experiment {source.source_id}.",
        "embedding_models": [],
        **before,
        "networks": [list(ring) for ring in dict.fromkeys(map(tuple, source.networks)) if ring],
        "prompts": [{"text": text, "tags": tags.get(text, {})} for text in dict.fromkeys(source.prompts) if text],
        "seeds": _seeds(source),
        "max_length": source.max_length,
        "imported_from": SYSTEM,
    }
    return Experiment.parse(values, where=f"experiment {source.source_id} of {file_name}")


def number_runs(
    source: SourceExperiment, runs: Iterable[SourceRun], held: Sequence[Mapping[str, Any]]
) -> list[tuple[RunPlan, SourceRun]]:
    """The runs with their numbers here, in the order of these.

    They are numbered as the experiment lists networks, seeds and prompts. ``held`` are the rows of the table ``runs``:
    what is there keeps its number and replicate, what is new comes after it. The replicate of a run is the number that
    the source counts, or else its rank, by identifier, among runs of equal network, prompt and seed.
    """
    known = {row["run_id"]: row for row in held}
    prompts = {row["prompt"]: row["prompt_number"] for row in held}
    ordered = sorted(runs, key=lambda run: run.source_id)
    for text in dict.fromkeys([*source.prompts, *(run.initial_prompt for run in ordered)]):
        prompts.setdefault(text, max(prompts.values(), default=-1) + 1)
    replicates = _replicates(ordered, known)
    ring, seed_place = _places(map(tuple, source.networks)), _places(source.seeds or [])
    prompt_place = _places(source.prompts)

    def order(run: SourceRun) -> tuple[Any, ...]:
        place = (ring(tuple(run.network)), seed_place(_seed(run)), prompt_place(run.initial_prompt))
        return (*place, replicates[run.source_id], run.network, run.initial_prompt, run.source_id)

    next_number = max((row["run_number"] for row in held), default=-1) + 1
    plans = []
    for run in sorted(ordered, key=order):
        identity = run_identity(run.source_id)
        if identity in known:
            number = known[identity]["run_number"]
        else:
            number, next_number = next_number, next_number + 1
        prompt = prompts[run.initial_prompt]
        ring_of_run, replicate = tuple(run.network), replicates[run.source_id]
        plan = RunPlan(number, identity, ring_of_run, prompt, run.initial_prompt, _seed(run), replicate, run.max_length)
        plans.append((plan, run))
    return sorted(plans, key=lambda pair: pair[0].run_number)


def _seeds(source: SourceExperiment) -> list[int]:
    if source.seeds is None:
        return [UNSEEDED] * max(1, source.num_runs or 1)
    taken: set[int] = set()
    seeds = [seed for seed in source.seeds if seed == UNSEEDED or not (seed in taken or taken.add(seed))]  # type: ignore[func-returns-value]
    return seeds


def _seed(run: SourceRun) -> int:
    return UNSEEDED if run.seed is None else run.seed


def _replicates(runs: Sequence[SourceRun], known: Mapping[bytes, Mapping[str, Any]]) -> dict[str, int]:
    """Replicate by source identifier; ``runs`` are sorted by it."""
    groups: dict[tuple[Any, ...], list[SourceRun]] = defaultdict(list)
    for run in runs:
        groups[tuple(run.network), run.initial_prompt, _seed(run)].append(run)
    replicates = {}
    for group in groups.values():
        held = {
            run.source_id: known[run_identity(run.source_id)]["replicate"]
            for run in group
            if run_identity(run.source_id) in known
        }
        free = max(held.values(), default=-1) + 1
        for run in group:
            if run.source_id in held:
                replicates[run.source_id] = held[run.source_id]
            elif run.run_number is not None:
                replicates[run.source_id] = run.run_number
            else:
                replicates[run.source_id], free = free, free + 1
    return replicates


def _places(listed: Iterable[Any]) -> Callable[[Any], int]:
    """The place of a value in a list; what is not listed comes last."""
    places: dict[Any, int] = {}
    for value in listed:
        places.setdefault(value, len(places))
    return lambda value: places.get(value, len(places))
