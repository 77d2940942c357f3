"""Recurrence plots: when a run is near where it was before.

Here belongs the picture; nearness is that of the analysis ``recurrence``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, continued_space
from panic_assets.dynamics.recurrence import RULES, radius_of, recurrence_matrix, typical_distance
from panic_assets.geometry import distance_matrix
from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import and_more, broken, short_networks, space_name
from panic_assets.reports.figures.pick import corpus_of, example
from panic_assets.reports.style import INK, grid, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PANELS = 12
_SHADES = ("#FFFFFF", "#DDE7EF", INK)  # far, nearer than is typical, recurrent


@styled
def recurrence_plot(lake: Lake, experiment: str) -> Figure | None:
    """One run of each network in each space: dark where two of its outputs recur, pale where they are fairly near.

    A run that closed a cycle is continued along it, as in the analysis.
    """
    from matplotlib.colors import ListedColormap

    corpus = corpus_of(lake, experiment)
    if corpus is None or not corpus.spaces:
        return None
    kinds = [(space, name) for space in corpus.spaces for name in space.by_network()]
    shown = kinds[:_MOST_PANELS]
    names = short_networks(name for _, name in kinds)
    columns = min(4, max(len(space.by_network()) for space in corpus.spaces))
    figure, panels = grid(len(shown), columns=columns, width=2.2, height=2.45, title="When runs come back")
    for panel, (space, name) in zip(panels, shown, strict=True):
        typical = typical_distance(space.trajectories)
        run = example([one.run for one in space.by_network()[name]])
        longer = continued_space(space, CONTINUED)
        (trajectory,) = [one for one in longer.trajectories if one.run.number == run.number]
        distances = distance_matrix(trajectory.vectors)
        near = recurrence_matrix(distances, radius_of(RULES[0], distances, typical))
        shades = np.where(near, 2, distances < typical)
        first, last = trajectory.sequence_numbers[0] - 0.5, trajectory.sequence_numbers[-1] + 0.5
        panel.imshow(
            shades,
            cmap=ListedColormap(_SHADES),
            vmin=0,
            vmax=2,
            origin="lower",
            interpolation="nearest",
            extent=(first, last, first, last),
        )
        where = f"{space_name(space.embedding_model, space.modality)}, run {run.number}"
        panel.set_title(f"{where}\n{broken(names[name])}", fontsize=7)
        panel.set(xlabel="sequence number", ylabel="sequence number")
    rule = RULES[0]
    remark = and_more(shown, len(kinds), "panels")
    note(
        figure,
        f"Dark: within {rule.value:g} of the space's median distance between runs. "
        f"Pale: nearer than that median. {remark}".strip(),
    )
    return figure
