"""From live runs to rows of the lake: names, trajectories, rows, and the partition that they are written into.

Here belongs nothing that the live store or a page needs; ``live.ingest`` is the way in.
"""
