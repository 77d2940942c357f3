"""A run, an invocation and an experiment's settings in words and tables that fit a terminal.

Here belongs printing. What is printed comes from ``inspection``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from panic_assets.experiment import UNSEEDED, Experiment
from panic_assets.reports.console import size_in_words
from panic_assets.reports.inspection import InvocationView, Picture, RunView, Step

_PROMPTS = 20  # that are listed
_HASH = 10  # digits of a hash that are shown where there is little room


def print_run(run: RunView, console: Console) -> None:
    """What a run is, how it ended, and a line for each of its invocations."""
    console.print(Text(f"{run.experiment}/{run.run_number}", "bold").append(f"  {run.network}", "not bold"))
    print_facts(
        console,
        {
            "prompt": f"{run.prompt_number}: {run.prompt}",
            "seed": f"none, replicate {run.replicate}" if run.seed == UNSEEDED else run.seed,
            "run id": run.run_id.hex(),
            "ended": _ending(run),
        },
    )
    if not run.steps:
        return
    flagged = any(step.flags for step in run.steps)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("output", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("again", justify="right", no_wrap=True)
    table.add_column("moved", justify="right", no_wrap=True)
    if flagged:
        table.add_column("flags", overflow="fold")
    for step in run.steps:
        in_cycle = run.cycle is not None and step.sequence_number in run.cycle
        again = f"= {step.repeats}" if step.repeats is not None else "cycle" if in_cycle else ""
        moved = next((f"{distance:.3f}" for distance in step.distances.values()), "")
        flags = [", ".join(step.flags)] if flagged else []
        table.add_row(str(step.sequence_number), step.model, _output(step), again, moved, *flags)
    console.print()
    console.print(table)
    measures = dict.fromkeys(f"{next(iter(step.distances))} ({step.type})" for step in run.steps if step.distances)
    if measures:
        by = " and ".join(measures)
        console.print(Text(f"moved: distance to the last output of the same medium, by {by}", "dim"))
    _hint(console, f"panic show {run.experiment}/{run.run_number}/SEQUENCE", "all of one invocation")
    _hint(console, f"panic export strip {run.experiment} --run {run.run_number}", "the run as a film strip")


def print_invocation(seen: InvocationView, console: Console) -> None:
    """Every column of an invocation, its input and its output, whole."""
    place = f"{seen.experiment}/{seen.run_number}/{seen.sequence_number}"
    console.print(Text(place, "bold").append(f"  of {seen.invocations} invocations of {seen.network}", "not bold"))
    left_out = {"experiment", "run_number", "sequence_number", "text", "image_hash"}
    print_facts(console, {name: value for name, value in seen.columns.items() if name not in left_out})
    for heading, text, picture in (
        ("input", seen.input_text, seen.input_picture),
        ("output", seen.output_text, seen.output_picture),
    ):
        console.print(Text(heading, "bold"))
        words = text if text is not None else _picture(picture, whole=True) if picture else "(not stored)"
        console.print(Padding(Text(words), (0, 0, 0, 2)))
    for number, picture in (
        (seen.sequence_number, seen.output_picture),
        (seen.sequence_number - 1, seen.input_picture),
    ):
        if picture is not None:
            _hint(console, f"panic export image {seen.experiment} {seen.run_number} {number} FILE.png", "the picture")


def print_settings(asked: Experiment, where: str, console: Console) -> None:
    """What an experiment asks for: networks, prompts, seeds, models."""
    unseeded = sum(seed == UNSEEDED for seed in asked.seeds)
    seeds = [str(seed) for seed in asked.seeds if seed != UNSEEDED]
    facts: dict[str, Any] = {"file": where}
    if asked.description:
        facts["description"] = asked.description
    facts |= {
        "networks": "\n".join(" -> ".join(network) for network in asked.networks),
        "seeds": ", ".join(seeds + ([f"{unseeded} without"] if unseeded else [])),
        "length": f"{asked.max_length} invocations at most; at a cycle: {asked.cycle}; at a flag: {asked.quality}",
        "embeddings": ", ".join(asked.embedding_models) or "none",
        "pictures": asked.image_format,
    }
    if asked.models:
        facts["changed"] = "\n".join(f"{name}: {values}" for name, values in asked.models.items())
    lines = []
    for prompt in asked.prompts[:_PROMPTS]:
        tags = ", ".join(f"{key}: {value}" for key, value in prompt.tags.items())
        lines.append(prompt.text + (f"  ({tags})" if tags else ""))
    more = len(asked.prompts) - _PROMPTS
    facts["prompts"] = "\n".join(lines + ([f"and {more} more"] if more > 0 else []))
    print_facts(console, facts)


def print_facts(console: Console, facts: Mapping[str, Any]) -> None:
    """Names and values, a line for each."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(_shown(value)))
    console.print(table)


def _hint(console: Console, command: str, gives: str) -> None:
    console.print(Text(f"{command}  ", "cyan").append(f"({gives})", "not cyan dim"), soft_wrap=True)


def _ending(run: RunView) -> str:
    if run.outcome is None:
        return f"not yet; {len(run.steps)} of {run.max_length} invocations at most"
    told = f"{run.outcome['stop_reason']}, after {run.outcome['length']} invocations"
    if run.cycle is not None:
        told += f"; from {run.cycle.start} on it repeats itself every {len(run.cycle)}"
    return told + (f"; {run.outcome['error']}" if run.outcome["error"] else "")


def _output(step: Step) -> Text:
    if step.text is not None:
        return Text(" ".join(step.text.split()) or "(empty)")
    if step.audio_hash is not None:
        return Text(f"sound {step.audio_hash.hex()[:_HASH]}", "magenta")
    return Text(_picture(step.picture) if step.picture else "(not stored)", "magenta")


def _picture(picture: Picture, whole: bool = False) -> str:
    digits = picture.image_hash.hex()
    facts = f"{picture.width} x {picture.height}, {size_in_words(picture.byte_size)}"
    return f"picture {digits if whole else digits[:_HASH]} ({facts}{f', {picture.format}' if whole else ''})"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S.%f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
