"""Devices: where models compute. In this process, in worker processes, in a server that experiments share, or on Ray.

Here belong carrying a batch to a model and its outputs back, and what happens when a device is lost. Which batch goes
where is the loop's business, loading and calling a model that of ``models``.
"""
