"""Studies: training trials of models of trajectories, what they measure, and what comes of comparing them.

What is drawn from them is in ``reports``; how Dagster and the web show them is in ``defs`` and ``web``.
"""
