"""The bundled small models: a drawn world, and the recipes that train models of it.

Here belong the world's grammar and renderer, the training recipes and their evaluation. Nothing here runs when an
experiment runs: the trained weights are ordinary checkpoints under ``data/models`` and go through the same adapters
as any other model.
"""
