"""All figures, as data: what each shows, what it reads, what draws it; and which one stands for an analysis.

A new figure is a function in a module of its kind and an entry here.
"""

from __future__ import annotations

from functools import partial

from panic_assets.lake import Lake
from panic_assets.reports.codec.figures import TITLE, rates_figure
from panic_assets.reports.figures import generic
from panic_assets.reports.figures.clusters import cluster_sizes, cluster_timeline, transition_graph
from panic_assets.reports.figures.diagrams import barcodes, entropy_violins, persistence_scatter
from panic_assets.reports.figures.divergence import divergence_curves
from panic_assets.reports.figures.drift import drift_from_prompt, drift_ridges
from panic_assets.reports.figures.plane import trajectories_pca, trajectories_umap
from panic_assets.reports.figures.recurrence import recurrence_plot
from panic_assets.reports.figures.spec import Draw, FigureSpec
from panic_assets.reports.figures.strips import film_strips
from panic_assets.reports.figures.wheels import cycle_wheels

_VECTORS = ("runs", "invocations", "outcomes", "embeddings")

FIGURES: dict[str, FigureSpec] = {
    "film_strips": FigureSpec(
        "What runs looked like",
        "Pictures of one run of each network from first to last, each above the text that was made of it.",
        ("runs", "invocations", "images"),
        film_strips,
    ),
    "cycles": FigureSpec(
        "Cycles that runs ended in",
        "The longest cycles, each once: the outputs that its runs repeat for ever, clockwise.",
        ("runs", "invocations", "outcomes", "images"),
        cycle_wheels,
        "absorption",
    ),
    "drift": FigureSpec(
        "Distance from the prompt",
        "How far outputs are from their run's prompt: each run faint, the mean of each network strong.",
        _VECTORS,
        drift_from_prompt,
        "drift",
    ),
    "drift_ridges": FigureSpec(
        "Distance from the prompt over time",
        "How these distances are spread over runs at nine times: do runs agree, part, or settle?",
        _VECTORS,
        drift_ridges,
        "drift",
    ),
    "trajectories": FigureSpec(
        "Trajectories: principal components",
        "All outputs of each space on the two axes along which they differ most, with thumbnails or captions.",
        (*_VECTORS, "images"),
        trajectories_pca,
    ),
    "trajectories_umap": FigureSpec(
        "Trajectories: neighbourhoods",
        "All outputs laid out so that neighbours stay neighbours; distances between groups tell nothing.",
        (*_VECTORS, "images"),
        trajectories_umap,
        needs="umap",
        slow=True,
    ),
    "divergence": FigureSpec(
        "How runs of one prompt come apart",
        "Mean distance between runs of one prompt on a logarithmic axis; slopes of the lines are exponents.",
        ("curves", "dynamics"),
        divergence_curves,
        "divergence",
    ),
    "recurrence": FigureSpec(
        "When runs come back",
        "A dark dot at (i, j): the run was near the same place at both times. Diagonal lines are repeated passages.",
        _VECTORS,
        recurrence_plot,
        "recurrence",
    ),
    "persistence": FigureSpec(
        "Persistence diagrams of all runs",
        "Scales at which components, loops and voids of trajectories appear and vanish; far from the diagonal lasts.",
        ("persistence_diagrams",),
        persistence_scatter,
    ),
    "barcodes": FigureSpec(
        "Barcodes of one run each",
        "The same for one run of each network, a bar for each component and loop.",
        ("runs", "persistence_diagrams"),
        barcodes,
    ),
    "entropy": FigureSpec(
        "Persistence entropy of runs",
        "How evenly the lengths of bars are spread, run by run.",
        ("runs", "persistence_features"),
        entropy_violins,
    ),
    "clusters": FigureSpec(
        "The largest clusters",
        "Dense regions of each space over all experiments, by their medoids.",
        ("clusters",),
        cluster_sizes,
    ),
    "cluster_timeline": FigureSpec(
        "Clusters over time",
        "Which cluster each run was in at each time; one line of the picture is one run.",
        ("runs", "cluster_assignments", "clusterings", "clusters"),
        cluster_timeline,
        "cluster_dynamics",
    ),
    "transitions": FigureSpec(
        "Passages between clusters",
        "Where runs go from each cluster: arrows for shares of passages, dark discs for staying.",
        ("transitions",),
        transition_graph,
        "cluster_dynamics",
    ),
    "codecs": FigureSpec(
        TITLE,
        "Likeness of copies, and drift of their embeddings, against bytes; `panic codec report` measures them first.",
        ("codec_rates",),
        rates_figure,
    ),
}

# What ends a run of an experiment: drawn in a moment.
IN_SHORT = ("film_strips", "drift", "persistence", "clusters")

_GENERIC = {
    "curves": ("curves with their bands", "curves", generic.curves),
    "groups": ("groups of runs with intervals", "dynamics", generic.dots),
    "labels": ("labels of runs", "run_statistics", generic.run_labels),
    "runs": ("values of single runs", "run_statistics", generic.run_values),
}

# What stands for an analysis in its asset's metadata, the first that has something to show. Others get what fits all.
_FIRST: dict[str, tuple[Draw, ...]] = {
    "absorption": (
        partial(generic.curves, analysis="absorption", only=("cycle_entered_by", "text_repeat_by")),
        cycle_wheels,
    ),
    "change_points": (partial(generic.curves, analysis="change_points"),),
    "cluster_dynamics": (transition_graph, cluster_timeline),
    "divergence": (divergence_curves,),
    "drift": (partial(generic.curves, analysis="drift", only=("drift_cosine", "step_cosine")), drift_from_prompt),
    "recurrence": (recurrence_plot,),
    "topology_curves": (partial(generic.curves, analysis="topology_curves", only=("betti_h0", "betti_h1")),),
    "regimes": (partial(generic.run_labels, analysis="regimes"),),
    "relaxation": (
        partial(generic.dots, analysis="relaxation", only=("tau_drift", "tau_spread", "plateau_drift")),
        partial(generic.run_values, analysis="relaxation"),
    ),
}


def of_analysis(analysis: str) -> dict[str, FigureSpec]:
    """The figures that fit every analysis, drawn of one: ``<analysis>_curves``, ``_groups``, ``_labels``, ``_runs``."""
    named = analysis.replace("_", " ")
    return {
        f"{analysis}_{kind}": FigureSpec(
            f"{named[:1].upper()}{named[1:]}: {words}",
            f"What the analysis wrote into the table {table}.",
            (table,),
            partial(draw, analysis=analysis),
            analysis,
        )
        for kind, (words, table, draw) in _GENERIC.items()
    }


def figures_of(lake: Lake, experiment: str) -> dict[str, FigureSpec]:
    """All figures of an experiment: ``FIGURES``, and those of each analysis that has written something."""
    found = dict(FIGURES)
    for analysis in sorted(written(lake, experiment)):
        found |= {name: spec for name, spec in of_analysis(analysis).items() if name not in FIGURES}
    return found


def written(lake: Lake, experiment: str) -> set[str]:
    """Analyses that have rows in the lake."""
    return {
        name
        for table in ("curves", "dynamics", "run_statistics")
        for name in lake.read(table, experiment, ["analysis"]).column(0).unique().to_pylist()
    }


def candidates(analysis: str) -> tuple[Draw, ...]:
    """What may stand for an analysis, best first."""
    return (*_FIRST.get(analysis, ()), *(spec.draw for spec in of_analysis(analysis).values()))
