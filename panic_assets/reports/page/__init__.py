"""The report: one HTML page of an experiment that opens offline, with linked views of its trajectories.

Here belong gathering what is shown (``contents``, ``thumbnails``, ``maps``) and putting it on a page (``render``, with
the template, style and script beside it). What is computed belongs to the analyses.
"""
