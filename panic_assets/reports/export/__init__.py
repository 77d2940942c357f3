"""What leaves the lake for other programs: videos, film strips, pictures with their provenance, Parquet bundles.

Here belong the files that ``panic export`` writes. Nothing here computes; figures and the report are the neighbours'.
"""
