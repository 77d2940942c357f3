"""Measurements against named rivals. Never part of the test run; results are kept in ``benchmarks/results``."""
