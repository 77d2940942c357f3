"""The loop: from an experiment to invocations and embeddings in the lake.

Here belong the expansion into runs, the engine that advances them, and the embedding of what they gave. What
trajectories mean is the business of topology, dynamics and clustering.
"""
