"""Measures of trained models: Lipschitz bounds, robustness, certificates, calibration, roll-outs.

They take plain networks and arrays and know nothing of the platform. Everything here imports torch.
"""

from __future__ import annotations

from panic_assets.studies.measures.errors import MeasureError
from panic_assets.studies.measures.measuring import Measured, measure

__all__ = ["MeasureError", "Measured", "measure"]
