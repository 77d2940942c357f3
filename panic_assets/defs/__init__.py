"""Dagster, and nothing else: assets, checks, resources, partitions, automation.

Here belongs how the stages are scheduled, shown and guarded. What a stage does is a plain function of another room; an
asset loads, calls one of them, and returns metadata.
"""

import warnings

import dagster as dg

# Partitioned asset checks are marked as a preview; the exact pin of Dagster keeps them from changing under us.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
