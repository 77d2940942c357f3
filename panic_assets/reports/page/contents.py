"""What the page of an experiment shows, gathered from the lake as plain JSON values.

Here belong the choices: which runs are drawn, how much of it fits. How it looks is the template's business.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from panic_assets.codec.rates import NotMeasured
from panic_assets.dynamics.corpus import Corpus, Run, load_corpus
from panic_assets.lake import Lake
from panic_assets.reports.codec.article import article
from panic_assets.reports.codec.contents import measured_in
from panic_assets.reports.page.maps import map_of
from panic_assets.reports.page.thumbnails import Sheet, sheet_of
from panic_assets.reports.summary import summarise

RUNS_DRAWN = 96
PICTURES_SHOWN = 6000
FEW_PICTURES = 1500  # of so many, larger thumbnails fit
_CURVES_OF_ANALYSIS = 24


@dataclass(frozen=True)
class Contents:
    """``values`` are plain JSON; ``sheet`` holds the thumbnails that they point to by number.

    ``codec`` is HTML: what was measured of codecs, empty where nothing was.
    """

    values: dict[str, Any]
    sheet: Sheet | None
    codec: str = ""


def contents_of(lake: Lake, experiment: str, runs_drawn: int = RUNS_DRAWN) -> Contents:
    """Everything that the page of an experiment needs.

    Where there are more runs than ``runs_drawn``, the page draws as many of each network, evenly over prompts and
    seeds, and says so; tables and statistics are always over all.

    Raises:
        NothingToAnalyse: the lake holds no runs of it.
        LakeError: a table can't be read.
    """
    corpus = load_corpus(lake, experiment)
    described = lake.read("experiments", experiment).to_pylist()[0]
    drawn = _drawn(corpus.runs, runs_drawn)
    numbers = frozenset(run.number for run in drawn)
    hashes = [output for run in drawn for output in run.outputs if isinstance(output, bytes)]
    medoids = _medoid_pictures(lake, experiment)
    wanted = list(dict.fromkeys([*medoids.values(), *hashes]))[:PICTURES_SHOWN]
    sheet = sheet_of(lake, experiment, wanted, tile=128 if len(wanted) <= FEW_PICTURES else 64)
    places = sheet.places if sheet else {}
    networks = list(dict.fromkeys(run.network for run in corpus.runs))
    config = json.loads(described["config"])
    prompts = {row["prompt_number"]: row["prompt"] for row in lake.read("prompts", experiment).to_pylist()}
    values = {
        "experiment": experiment,
        "description": described["description"] or "",
        "created_at": described["created_at"].isoformat(timespec="seconds"),
        "config": config,
        "networks": networks,
        "prompts": [{"number": n, "text": text, "tags": corpus.tags.get(n, {})} for n, text in prompts.items()],
        "counts": {
            "runs": len(corpus.runs),
            "invocations": sum(len(run.outputs) for run in corpus.runs),
            "pictures": lake.read("images", experiment, columns=["image_hash"]).num_rows,
        },
        "summary": [asdict(row) for row in summarise(lake.root, experiment)],
        "drawn": [_run(run, networks, places) for run in drawn],
        "maps": _maps(corpus, numbers, _labels(lake, experiment)),
        "clusters": _clusters(lake, {cluster: places[value] for cluster, value in medoids.items() if value in places}),
        "curves": _curves(lake, experiment, networks),
        "statistics": _statistics(lake, experiment),
        "events": lake.read("events", experiment, columns=["kind"]).num_rows,
    }
    return Contents(values, sheet, _codec(lake, experiment))


def _codec(lake: Lake, experiment: str) -> str:
    try:
        return article(measured_in(lake, experiment))
    except NotMeasured:
        return ""


def _drawn(runs: Sequence[Run], most: int) -> list[Run]:
    """Runs of every network, evenly spaced in the order of their numbers."""
    by_network: dict[str, list[Run]] = {}
    for run in runs:
        if run.outputs:
            by_network.setdefault(run.network, []).append(run)
    each = max(1, most // max(1, len(by_network)))
    return [
        own[place] for own in by_network.values() for place in sorted({*np.linspace(0, len(own) - 1, each).astype(int)})
    ]


def _run(run: Run, networks: Sequence[str], places: dict[bytes, int]) -> dict[str, Any]:
    """A run for the page: an output is a text, a number of a thumbnail, or null for a picture that is not shown."""
    return {
        "run": run.number,
        "network": networks.index(run.network),
        "prompt": run.prompt_number,
        "seed": run.seed,
        "replicate": run.replicate,
        "stop": run.stop_reason,
        "transient": run.transient_length,
        "cycle": run.cycle_length,
        "ring": len(run.models),
        "outputs": [output if isinstance(output, str) else places.get(output) for output in run.outputs],
    }


def _maps(corpus: Corpus, numbers: frozenset[int], labels: dict[tuple[str, str], Any]) -> list[dict[str, Any]]:
    maps = []
    for space in corpus.spaces:
        drawn = map_of(space, numbers)
        if drawn is None:
            continue
        label = labels.get((space.embedding_model, space.modality), {})
        maps.append(
            {
                "embedding_model": drawn.embedding_model,
                "modality": drawn.modality,
                "explained": round(drawn.explained, 4),
                "runs": {
                    str(number): {
                        "at": drawn.sequence_numbers[number].tolist(),
                        "xy": np.round(points, 4).tolist(),
                        "cluster": [label.get((number, int(n))) for n in drawn.sequence_numbers[number]],
                        "prompt": np.round(drawn.prompts[number], 4).tolist() if number in drawn.prompts else None,
                    }
                    for number, points in drawn.points.items()
                },
            }
        )
    return maps


def _labels(lake: Lake, experiment: str) -> dict[tuple[str, str], dict[tuple[int, int], int]]:
    """Cluster of each output, by embedding model and modality."""
    found: dict[tuple[str, str], dict[tuple[int, int], int]] = {}
    columns = ["embedding_model", "modality", "run_number", "sequence_number", "cluster"]
    rows = lake.read("cluster_assignments", columns=[*columns, "experiment"], where={"experiment": experiment})
    for model, modality, run, number, cluster in zip(*(rows.column(name).to_pylist() for name in columns), strict=True):
        found.setdefault((model, modality), {})[run, number] = cluster
    return found


def _medoid_pictures(lake: Lake, experiment: str) -> dict[tuple[str, str, int], bytes]:
    """Hash of the picture at the heart of each cluster, where it is one of this experiment."""
    rows = [
        row
        for row in lake.read("clusters", where={"medoid_experiment": experiment}).to_pylist()
        if row["modality"] == "image"
    ]
    if not rows:
        return {}
    columns = ["run_number", "sequence_number", "image_hash"]
    where = {"run_number": {row["medoid_run_number"] for row in rows}}
    held = lake.read("invocations", experiment, columns=columns, where=where)
    hashes = {(run, n): value for run, n, value in zip(*(held.column(c).to_pylist() for c in columns), strict=True)}
    return {
        (row["embedding_model"], row["modality"], row["cluster"]): value
        for row in rows
        if (value := hashes.get((row["medoid_run_number"], row["medoid_sequence_number"]))) is not None
    }


def _clusters(lake: Lake, tiles: dict[tuple[str, str, int], int]) -> dict[str, list[dict[str, Any]]]:
    """The clusters of each embedding model and modality, the largest first; ``tile`` is the medoid's thumbnail."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(lake.read("clusters").to_pylist(), key=lambda row: row["cluster"]):
        key = (row["embedding_model"], row["modality"], row["cluster"])
        one = {"cluster": row["cluster"], "size": row["size"], "share": row["share"], "medoid": row["medoid_text"]}
        name = f"{row['embedding_model']}, {row['modality']}"
        found.setdefault(name, []).append(one | {"tile": tiles.get(key)})
    return found


def _curves(lake: Lake, experiment: str, networks: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Group curves by analysis: those of whole networks, or of all together where there are none of networks."""
    table = lake.read("curves", experiment, where={"run_number": -1, "prompt_number": -1})
    grouped: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = ("analysis", "curve", "embedding_model", "modality", "network", "contrast")
    for row in table.to_pylist():
        key = tuple(row[name] for name in names)
        one = grouped.setdefault(
            key,
            {name: row[name] for name in names}
            | {"x_unit": row["x_unit"], "colour": networks.index(row["network"]) if row["network"] in networks else -1}
            | {"x": [], "value": [], "low": [], "high": []},
        )
        for name in ("x", "value", "low", "high"):
            one[name].append(None if row[name] is None else float(f"{row[name]:.5g}"))
    by_analysis: dict[str, list[dict[str, Any]]] = {}
    for one in grouped.values():
        panels = by_analysis.setdefault(one.pop("analysis"), [])
        if len({_panel(p) for p in panels} | {_panel(one)}) <= _CURVES_OF_ANALYSIS:
            panels.append(one)
    return by_analysis


def _panel(curve: dict[str, Any]) -> tuple[str, ...]:
    return curve["curve"], curve["embedding_model"], curve["modality"], curve["contrast"]


def _statistics(lake: Lake, experiment: str) -> dict[str, list[dict[str, Any]]]:
    """Group statistics by analysis, those of prompts left out."""
    keep = ("statistic", "embedding_model", "modality", "network", "contrast", "value", "low", "high", "runs", "unit")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in lake.read("dynamics", experiment, where={"prompt_number": -1}).to_pylist():
        one = {name: row[name] for name in (*keep, "p_value", "p_adjusted", "method")}
        one["finding"] = json.loads(row["details"]).get("finding") if row["details"] else None
        found.setdefault(row["analysis"], []).append(one)
    return found
