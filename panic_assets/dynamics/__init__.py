"""What trajectories do: settle, cycle, wander, forget their prompt, split; each number with its uncertainty.

Here belong statistics over time and over symbols. Persistence diagrams belong to ``topology``, cluster labels to
``clustering``. Each analysis is a function from a `corpus.Corpus` to `findings.Findings`, listed in ``analyses``.
"""
