"""Clustering: dense regions of an embedding space, over all experiments that share it.

Here belong density clustering, medoids, and the table-level stage. What a sequence of clusters does in time belongs to
dynamics.
"""
