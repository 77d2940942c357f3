"""Events of training: their form, the rows that come of them, and the store that keeps both.

Trainers reach it by the client, or by HTTP through ``web``. What runs a study is in ``studies.runner``.
"""
