"""The shape of a trajectory: persistence diagrams of its embeddings, and numbers taken from them.

Here belong distances between the points of one trajectory, Vietoris-Rips persistence, and features of a diagram. What
the order of the points says (drift, recurrence, Markov models) belongs to ``dynamics``; reading and writing tables
belongs to ``defs``.
"""
