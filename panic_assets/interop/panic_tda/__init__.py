"""PANIC-TDA databases (SQLite), of the Python and of the Elixir era.

``records`` says what a row is once it is decoded; ``source`` and its helpers read a database into records; ``importer``
writes records into the lake.
"""
