"""Networks that run for an audience: prompts from people, rings of models, displays that follow.

Here belongs everything about live networks that needs no web server: what they are, how they run, the platforms that
models are called on, the archive of media, what displays show, and how a night of it becomes an experiment of the lake.
"""
