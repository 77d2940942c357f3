"""The partition sets: experiments and studies, added as their files appear."""

from __future__ import annotations

import dagster as dg

EXPERIMENTS = dg.DynamicPartitionsDefinition(name="experiment")
STUDIES = dg.DynamicPartitionsDefinition(name="study")
