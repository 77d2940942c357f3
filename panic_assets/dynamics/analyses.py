"""All analyses, in the order in which they are made. A new one is a line here and a page in docs/analyses."""

from __future__ import annotations

from panic_assets.dynamics.absorption import ABSORPTION
from panic_assets.dynamics.change_points import CHANGE_POINTS
from panic_assets.dynamics.cluster_dynamics import CLUSTER_DYNAMICS
from panic_assets.dynamics.contrasts import CONTRASTS
from panic_assets.dynamics.diagram_contrasts import DIAGRAM_CONTRASTS
from panic_assets.dynamics.divergence import DIVERGENCE
from panic_assets.dynamics.drift import DRIFT
from panic_assets.dynamics.recoverability import RECOVERABILITY
from panic_assets.dynamics.recurrence import RECURRENCE
from panic_assets.dynamics.regimes import REGIMES_ANALYSIS
from panic_assets.dynamics.relaxation import RELAXATION
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.topology_curves import TOPOLOGY_CURVES
from panic_assets.dynamics.topology_nulls import TOPOLOGY_NULLS
from panic_assets.dynamics.topology_value import TOPOLOGY_VALUE
from panic_assets.dynamics.windows import WINDOWS

ANALYSES: tuple[Analysis, ...] = (
    REGIMES_ANALYSIS,
    ABSORPTION,
    DRIFT,
    DIVERGENCE,
    RELAXATION,
    RECOVERABILITY,
    CONTRASTS,
    RECURRENCE,
    CHANGE_POINTS,
    CLUSTER_DYNAMICS,
    TOPOLOGY_CURVES,
    TOPOLOGY_NULLS,
    DIAGRAM_CONTRASTS,
    WINDOWS,
    TOPOLOGY_VALUE,
)


def analysis(name: str) -> Analysis:
    """The analysis called ``name``.

    Raises:
        KeyError: there is none.
    """
    return {one.name: one for one in ANALYSES}[name]
