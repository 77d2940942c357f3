"""Small figures of an experiment: film strips, drift, diagrams, clusters. PNG bytes, or None where nothing is to show.

Here belongs drawing from the lake's tables, nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix
from panic_assets.loop.pictures import PictureShelf
from panic_assets.reports.style import COLOURS, FAINT, INK, new_figure, png

_TILE, _GAP = 48, 2


def write_figures(lake: Lake, experiment: str, folder: Path) -> list[Path]:
    """All figures of an experiment as PNG files; the paths of those that have something to show."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "film_strips": film_strips(lake, experiment),
        "drift": drift_from_prompt(lake, experiment),
        "persistence": persistence_scatter(lake, experiment),
        "clusters": cluster_sizes(lake),
    }
    written = []
    for name, data in drawn.items():
        if data is not None:
            written.append(folder / f"{name}.png")
            written[-1].write_bytes(data)
    return written


def film_strip(lake: Lake, experiment: str, run_number: int, count: int = 16) -> np.ndarray | None:
    """The first pictures of a run side by side, uint8 (48, width, 3); None if it has none."""
    from PIL import Image

    rows = lake.read("invocations", experiment, ["sequence_number", "image_hash"], {"run_number": run_number})
    hashes = [value for value in rows.column("image_hash").to_pylist() if value is not None][:count]
    if not hashes:
        return None
    pixels = PictureShelf(lake, experiment).load(set(hashes))
    strip = np.full((_TILE, len(hashes) * (_TILE + _GAP) - _GAP, 3), 255, np.uint8)
    for place, image_hash in enumerate(hashes):
        tile = Image.fromarray(pixels[image_hash]).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
        strip[:, place * (_TILE + _GAP) :][:, :_TILE] = np.asarray(tile)
    return strip


def film_strips(lake: Lake, experiment: str, count: int = 16, rows: int = 8) -> bytes | None:
    """The longest run of each network as a film strip, below one another."""
    from PIL import Image

    runs = lake.read("runs", experiment, ["run_number", "network"]).to_pylist()
    lengths = dict(
        zip(*(c.to_pylist() for c in lake.read("outcomes", experiment, ["run_number", "length"]).columns), strict=True)
    )
    longest: dict[str, int] = {}
    for run in runs:
        best = longest.setdefault(run["network"], run["run_number"])
        if lengths.get(run["run_number"], 0) > lengths.get(best, 0):
            longest[run["network"]] = run["run_number"]
    strips = [film_strip(lake, experiment, number, count) for number in list(longest.values())[:rows]]
    shown = [strip for strip in strips if strip is not None]
    if not shown:
        return None
    width = max(strip.shape[1] for strip in shown)
    sheet = np.full((len(shown) * (_TILE + 2 * _GAP) - 2 * _GAP, width, 3), 255, np.uint8)
    for row, strip in enumerate(shown):
        sheet[row * (_TILE + 2 * _GAP) :][:_TILE, : strip.shape[1]] = strip
    file = io.BytesIO()
    Image.fromarray(sheet).quantize(128).save(file, format="png", optimize=True)
    return file.getvalue()


def drift_from_prompt(lake: Lake, experiment: str) -> bytes | None:
    """Cosine distance of each output from its run's prompt, one panel an embedding model, mean over the runs."""
    held = lake.read("embeddings", experiment, ["embedding_model"]).column(0).unique().to_pylist()
    network_of = _networks(lake, experiment)
    curves = {name: _drift(lake, experiment, name) for name in sorted(held)}
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return None
    figure, panels = new_figure(len(curves))
    networks = sorted(set(network_of.values()))
    for panel, (name, drifts) in zip(panels, curves.items(), strict=True):
        for number, network in enumerate(networks):
            chosen = [drift for run, drift in drifts.items() if network_of[run] == network]
            colour = COLOURS[number % len(COLOURS)]
            for places, values in chosen:
                panel.plot(places, values, color=colour, alpha=0.15, linewidth=0.6)
            if chosen:
                panel.plot(*_mean(chosen), color=colour, linewidth=1.6, label=network)
        panel.set(title=name, xlabel="sequence number", ylabel="cosine distance from the prompt", ylim=(0, None))
    _legend(panels[0], len(networks))
    return png(figure)


def persistence_scatter(lake: Lake, experiment: str) -> bytes | None:
    """All diagrams of an experiment, one panel for each embedding model, coloured by homology dimension."""
    rows = lake.read("persistence_diagrams", experiment).to_pylist()
    kinds = sorted({(row["embedding_model"], row["modality"]) for row in rows})
    if not kinds:
        return None
    figure, panels = new_figure(len(kinds), width=2.9)
    for panel, kind in zip(panels, kinds, strict=True):
        reach = 0.0
        for dimension in (0, 1, 2):
            chosen = [r for r in rows if (r["embedding_model"], r["modality"]) == kind]
            chosen = [row for row in chosen if row["homology_dimension"] == dimension]
            births = np.concatenate([np.asarray(row["births"], float) for row in chosen] or [np.empty(0)])
            deaths = np.concatenate([np.asarray(row["deaths"], float) for row in chosen] or [np.empty(0)])
            finite = np.isfinite(deaths)
            reach = max(reach, deaths[finite].max(initial=0.0))
            panel.scatter(
                births[finite],
                deaths[finite],
                s=5,
                color=COLOURS[dimension],
                alpha=0.4,
                linewidths=0,
                label=f"H{dimension}",
            )
        panel.plot([0, reach], [0, reach], color=FAINT, linewidth=0.8)
        panel.set(title=f"{kind[0]}, {kind[1]}", xlabel="birth", ylabel="death")
    panels[0].legend(fontsize=7, frameon=False, loc="lower right")
    return png(figure)


def cluster_sizes(lake: Lake, count: int = 10) -> bytes | None:
    """The largest clusters of each embedding model by their medoids."""
    rows = lake.read("clusters").to_pylist()
    kinds = sorted({(row["embedding_model"], row["modality"], row["clustering_id"]) for row in rows})
    if not kinds:
        return None
    figure, panels = new_figure(1, len(kinds), width=6.4, height=0.4 + 0.2 * count)
    for panel, kind in zip(panels, kinds, strict=True):
        chosen = [row for row in rows if row["clustering_id"] == kind[2]]
        chosen = sorted(chosen, key=lambda row: row["cluster"])[:count][::-1]
        panel.barh(range(len(chosen)), [row["share"] for row in chosen], color=COLOURS[0], height=0.7)
        names = [row["medoid_text"] or f"run {row['medoid_run_number']}" for row in chosen]
        # A caption may hold dollar signs and line breaks, which matplotlib would take for formulas and for lines.
        labels = [" ".join(name.split())[:60] for name in names]
        panel.set_yticks(range(len(chosen)), labels, fontsize=6, color=INK, parse_math=False)
        panel.set(title=f"{kind[0]}, {kind[1]}", xlabel="share of the outputs")
    return png(figure)


def _networks(lake: Lake, experiment: str) -> dict[int, str]:
    runs = lake.read("runs", experiment, ["run_number", "network"])
    return dict(zip(runs.column(0).to_pylist(), runs.column(1).to_pylist(), strict=True))


def _drift(lake: Lake, experiment: str, model: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Run number to (sequence numbers, cosine distances); empty for a model that embeds no prompts."""
    where = {"embedding_model": model}
    rows = lake.read("embeddings", experiment, ["run_number", "sequence_number", "vector"], where)
    vectors = matrix(rows)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    run, place = rows.column("run_number").to_numpy(), rows.column("sequence_number").to_numpy()
    found = {}
    for number in np.unique(run[place < 0]):
        of_run = run == number
        prompt = vectors[of_run & (place < 0)][0]
        outputs = of_run & (place >= 0)
        if outputs.any():
            found[int(number)] = (place[outputs], 1 - vectors[outputs] @ prompt)
    return found


def _mean(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs at each place; a run that ended (in a cycle, say) keeps its last value."""
    places = np.unique(np.concatenate([places for places, _ in curves]))
    return places, np.mean([np.interp(places, own, values) for own, values in curves], axis=0)


def _legend(panel: object, entries: int) -> None:
    if entries > 1:
        panel.legend(fontsize=6, frameon=False)  # type: ignore[attr-defined]
