"""Questions before something is removed, and sizes and numbers in words.

Here belongs what several commands ask or tell alike; no command is here.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from panic_assets.errors import PanicError

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")]


class NobodyToAsk(PanicError):
    """A question without a terminal."""


def ask(yes: bool, question: str) -> None:
    """Go on if the answer is yes.

    Raises:
        NobodyToAsk: there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise NobodyToAsk("this asks before it removes anything, and there is no terminal; say --yes if you mean it")
    typer.confirm(question, abort=True, err=True)


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun; ``nouns`` is the plural where an s does not make it."""
    return f"{number} {noun}" if number == 1 else f"{number} {nouns or noun + 's'}"


def size_of(size: int) -> str:
    """Bytes in words."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
