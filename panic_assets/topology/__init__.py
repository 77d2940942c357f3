"""The shape of a trajectory: persistence diagrams of its embeddings, and numbers taken from them.

Here belong Vietoris-Rips persistence and features of a diagram; distances between points are `panic_assets.geometry`.
What the order of the points says (drift, recurrence, Markov models) belongs to ``dynamics``; reading and writing tables
belongs to ``defs``.
"""
