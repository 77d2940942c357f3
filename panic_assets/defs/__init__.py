"""Dagster, and nothing else: assets, checks, resources, partitions, automation.

Here belongs how the stages are scheduled, shown and guarded. What a stage does is a plain function of another room; an
asset loads, calls one of them, and returns metadata.
"""
