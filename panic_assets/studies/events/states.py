"""Which state of a trial or a model run may follow which.

Here belongs the table alone; who heeds it by comparing and setting in one statement is ``applying``.
"""

from __future__ import annotations

from typing import get_args

from panic_assets.studies.records import FINAL, State

_ORDER: tuple[State, ...] = ("pending", "running")
STATES: tuple[State, ...] = get_args(State)


def allowed_from(to: State) -> frozenset[State]:
    """The states that may become ``to``. A final state is never left, and nothing goes back."""
    return frozenset(_ORDER) if to in FINAL else frozenset(_ORDER[: _ORDER.index(to)])
