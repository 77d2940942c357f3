"""Other systems' data, brought into the lake: one package for each system.

Here belongs reading what other systems wrote, and what it becomes in the lake. Nothing here runs a model.
"""
