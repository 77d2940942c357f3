"""The terminal that this package prints to: how wide it is, and what a reader that went away means.

Here belongs the console alone; what is printed on it is the business of those who print.
"""

from __future__ import annotations

import os
import sys

from rich.console import Console

#: Columns of what is not a terminal, such as a log.
WIDTH_OF_FILES = 130


class _Console(Console):
    """Tells its caller that the reader of a pipe went away, as ``print`` does."""

    def on_broken_pipe(self) -> None:
        """Let the command end as it ends for any other output.

        Raises:
            BrokenPipeError: always.
        """
        raise BrokenPipeError


def console(width_of_files: int = WIDTH_OF_FILES, *, stderr: bool = False) -> Console:
    """A console on stdout, as wide as the terminal, or as ``COLUMNS`` says; else ``width_of_files``.

    It has colours on a terminal alone, and not where ``NO_COLOR`` is set. Text is taken as it is.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else width_of_files
    return _Console(width=width, stderr=stderr, highlight=False, markup=False, emoji=False)


def size_in_words(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
