"""Trajectories in two dimensions, with thumbnails or captions where outputs lie.

Here belong pictures of whole spaces. The principal components are those of the page's map.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from panic_assets.dynamics.corpus import Space
from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import short_networks, space_name, wrapped
from panic_assets.reports.figures.pick import corpus_of, output_at, pictures, spread
from panic_assets.reports.page.maps import map_of
from panic_assets.reports.style import FAINT, INK, RASTERISE_FROM, colour, grid, legend_below, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_POINTS = 20_000  # that UMAP is given
_THUMBNAILS, _CAPTIONS = 18, 8
_CAPTION_WIDTH, _CAPTION_HEIGHT = 0.42, 0.12  # of the extent of the points
_MOST_LINES = 150  # runs whose paths are drawn; points are drawn of all

#: A space, places of outputs and of prompts by run, names of the axes, and what to say of the map.
Drawn = tuple[Space, Mapping[int, np.ndarray], Mapping[int, np.ndarray], tuple[str, str], str]


@styled
def trajectories_pca(lake: Lake, experiment: str) -> Figure | None:
    """All outputs of each space on its two leading principal components; lines join a run's outputs in order."""
    corpus = corpus_of(lake, experiment)
    everyone = frozenset(run.number for run in corpus.runs) if corpus else frozenset()
    drawn: list[Drawn] = []
    for space in corpus.spaces if corpus else ():
        made = map_of(space, everyone)
        if made is not None:
            words = f"{made.explained:.0%} of the variance"
            drawn.append((space, made.points, made.prompts, ("component 1", "component 2"), words))
    return _figure(lake, experiment, drawn, "Trajectories: principal components")


@styled
def trajectories_umap(lake: Lake, experiment: str, neighbours: int = 15, seed: int = 0) -> Figure | None:
    """All outputs of each space laid out by UMAP (McInnes, Healy, Melville 2018, arXiv:1802.03426).

    Near points were near; far ones, and the sizes of gaps, tell nothing. None without the package umap-learn.
    """
    corpus = corpus_of(lake, experiment)
    if corpus is None or importlib.util.find_spec("umap") is None:
        return None
    drawn: list[Drawn] = []
    for space in corpus.spaces:
        points = _umap(space, neighbours, seed)
        if points is not None:
            drawn.append((space, points, {}, ("", ""), f"UMAP, {neighbours} neighbours"))
    return _figure(lake, experiment, drawn, "Trajectories: neighbourhoods")


def _figure(lake: Lake, experiment: str, drawn: list[Drawn], title: str) -> Figure | None:
    if not drawn:
        return None
    networks = list(dict.fromkeys(name for space, *_ in drawn for name in space.by_network()))
    names = short_networks(networks)
    figure, panels = grid(len(drawn), columns=3, width=3.8, height=3.5, title=title)
    for panel, (space, points, prompts, axes, words) in zip(panels, drawn, strict=True):
        _paths(panel, space, points, networks, names)
        if prompts:
            places = np.unique(np.round(np.stack(list(prompts.values())), 6), axis=0)
            panel.scatter(
                places[:, 0],
                places[:, 1],
                marker="*",
                s=60,
                color="white",
                edgecolors=INK,
                linewidths=0.8,
                zorder=4,
                label="prompts",
            )
        flat = np.concatenate([points[one.run.number] for one in space.trajectories])
        _signposts(panel, lake, experiment, space, flat)
        panel.set(
            title=f"{space_name(space.embedding_model, space.modality)} ({words})", xlabel=axes[0], ylabel=axes[1]
        )
        panel.set(xticks=[], yticks=[])
        panel.margins(0.12)
    legend_below(figure, panels)
    if any(len(space.trajectories) > _MOST_LINES for space, *_ in drawn):
        note(figure, f"Lines of the first {_MOST_LINES} runs; points of all.")
    return figure


def _paths(
    panel: Axes, space: Space, points: Mapping[int, np.ndarray], networks: list[str], names: Mapping[str, str]
) -> None:
    from matplotlib.collections import LineCollection

    many = sum(map(len, space.trajectories)) > RASTERISE_FROM
    for network, members in space.by_network().items():
        tint = colour(networks.index(network))
        paths = [
            points[one.run.number] for one in members[: max(1, _MOST_LINES * len(members) // len(space.trajectories))]
        ]
        alpha = max(0.05, min(0.4, 12 / len(members)))
        panel.add_collection(LineCollection(paths, colors=tint, linewidths=0.5, alpha=alpha, rasterized=many))
        flat = np.concatenate([points[one.run.number] for one in members])
        panel.scatter(
            flat[:, 0], flat[:, 1], s=5, color=tint, alpha=0.5, linewidths=0, label=names[network], rasterized=many
        )


def _signposts(panel: Axes, lake: Lake, experiment: str, space: Space, flat: np.ndarray) -> None:
    """Thumbnails or captions at outputs far from one another, so that they do not cover one another much."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    rows = [(one, row) for one in space.trajectories for row in range(len(one))]
    scaled = flat / np.maximum(np.ptp(flat, axis=0), 1e-12)
    chosen = spread(scaled, _THUMBNAILS) if space.modality == "image" else _apart(scaled, spread(scaled, 6 * _CAPTIONS))
    outputs = {place: output_at(*rows[place]) for place in chosen}
    tiles = pictures(lake, experiment, [one for one in outputs.values() if isinstance(one, bytes)], 48)
    for place, output in outputs.items():
        if isinstance(output, bytes) and output in tiles:
            box = AnnotationBbox(
                OffsetImage(tiles[output], zoom=0.4),
                (float(flat[place, 0]), float(flat[place, 1])),
                pad=0.1,
                bboxprops={"edgecolor": FAINT, "linewidth": 0.5},
                zorder=3,
            )
            panel.add_artist(box)
        elif isinstance(output, str) and output:
            right = _to_the_left(scaled, place)
            panel.annotate(
                wrapped(output, 22, 2),
                (float(flat[place, 0]), float(flat[place, 1])),
                xytext=(-4 if right else 4, 4),
                textcoords="offset points",
                ha="right" if right else "left",
                fontsize=6,
                color=INK,
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8},
                zorder=5,
            )


def _to_the_left(scaled: np.ndarray, row: int) -> bool:
    """Whether a caption has more room to the left of its point."""
    return bool(scaled[row, 0] > (scaled[:, 0].min() + scaled[:, 0].max()) / 2)


def _apart(scaled: np.ndarray, rows: list[int]) -> list[int]:
    """The first of the rows whose captions do not cover one another; ``scaled`` (n, 2) spans 1 in each direction."""
    kept: list[int] = []
    lefts: list[float] = []
    for row in rows:
        left = float(scaled[row, 0]) - (_CAPTION_WIDTH if _to_the_left(scaled, row) else 0)
        free = all(
            abs(left - other) > _CAPTION_WIDTH or abs(scaled[row, 1] - scaled[one, 1]) > _CAPTION_HEIGHT
            for one, other in zip(kept, lefts, strict=True)
        )
        if free and len(kept) < _CAPTIONS:
            kept.append(row)
            lefts.append(left)
    return kept


def _umap(space: Space, neighbours: int, seed: int) -> dict[int, np.ndarray] | None:
    import warnings

    vectors = np.concatenate([one.vectors for one in space.trajectories])
    # Equal outputs are one point: neighbourhoods full of copies would tear the rest apart.
    distinct, which = np.unique(vectors, axis=0, return_inverse=True)
    if not neighbours < len(distinct) <= _MOST_POINTS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba, and that a seed means one thread
        from umap import UMAP

        model = UMAP(n_neighbors=neighbours, metric="cosine", random_state=seed, n_jobs=1)
        laid = np.asarray(model.fit_transform(distinct))[which.reshape(-1)]
    ends = np.cumsum([len(one) for one in space.trajectories])[:-1]
    return {one.run.number: part for one, part in zip(space.trajectories, np.split(laid, ends), strict=True)}
