"""The systems: steps of coding and of measuring, each over many entities of a world.

Here belongs what reads and adds components. The mathematics of coding lives in modules that know nothing of worlds,
wherever others need it too. Each system is imported from the module of its own, so that none costs those who do not
use it.
"""
