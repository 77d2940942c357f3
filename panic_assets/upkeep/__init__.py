"""Keeping the lake sound and safe: examining and mending it, backups, deleting, collecting what is left over.

Here belongs what is done to the lake as a whole and over years. Nothing here computes a result.
"""
