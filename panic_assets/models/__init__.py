"""Models: what exists (a data file) and how each library is called. Nothing here knows of runs or tables."""
