"""Reports: figures and summaries of what the lake holds.

Here belongs what a person looks at. Numbers come from other rooms; nothing here computes a statistic of its own.
"""
