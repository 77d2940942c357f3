"""The web application: live networks, their displays, and the people who run them.

Here belong routes, pages and who may call what. What they do is in ``live``.
"""
