"""The one partition set of the main graph: experiments, added as their files appear."""

from __future__ import annotations

import dagster as dg

EXPERIMENTS = dg.DynamicPartitionsDefinition(name="experiment")
