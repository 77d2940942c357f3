"""What can go wrong between the platform and MLflow.

Here belongs the error of the calls that are to be told; logging beside training never raises.
"""

from __future__ import annotations

from panic_assets.errors import PanicError


class TrackingError(PanicError):
    """MLflow can't be asked or written to. Nothing is lost: what it lacks is made up for by the next reconciliation."""


class TrackingRefused(TrackingError):
    """MLflow answers that it will not take a value as it is, say a name with characters that it does not allow."""
