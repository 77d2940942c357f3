"""Figures of an experiment, drawn from the lake's tables: see ``table`` for the list, ``files`` for writing them.

Here belongs drawing. Numbers come from other rooms; how figures look is the business of ``reports.style``. Every
function takes the lake and an experiment and gives a matplotlib figure, or None where nothing is to show.
"""
