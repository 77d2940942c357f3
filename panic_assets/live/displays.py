"""What each screen and board of an installation shows: the mathematics of watchers, and what a watcher may be.

Here belong pure functions of watchers and invocations. How a screen looks, how events reach it and how a text fits a
board is decided elsewhere.

A slot is found by the sequence number alone. Where a ring skips a step, its number belongs to no invocation: the slot
keeps what it had, and all others stay where they are. An invocation may be given as the record or in its public form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from panic_assets.live.records import Invocation, Run, Watcher

#: Rows and columns of the boards that there are: the flagship and the Note.
BOARD_SIZES = ((6, 22), (3, 15))
#: Of a grid: a screen of more panels shows none of them.
MOST_ROWS = 64
_NAME = re.compile("[a-zA-Z0-9-]+")
_BOARD = re.compile("[a-zA-Z0-9_-]+")

Check = Callable[[Watcher], list[str]]
Shown = TypeVar("Shown", bound=Invocation | Mapping[str, Any])


def slots_of(watcher: Watcher) -> int:
    """How many invocations it shows at a time."""
    return (watcher.rows or 1) * (watcher.columns or 1) if watcher.kind == "grid" else 1


def slot_of(watcher: Watcher, invocation: Invocation | Mapping[str, Any]) -> int | None:
    """Where it shows an invocation, from 0; None if it does not.

    A single screen has one slot for all its offsets, and shows the beginning of a run whatever they are: whoever typed
    a prompt sees at once that it was taken. A failed invocation is shown as such; a board shows texts alone.
    """
    number = _field(invocation, "sequence_number")
    if watcher.kind == "grid":
        return int(number % slots_of(watcher))
    if watcher.kind == "vestaboard":
        return None if what_board_shows(watcher, invocation) is None else 0
    is_done = _field(invocation, "state") in ("completed", "failed")
    return 0 if number == 0 or (_is_on(watcher, number) and (is_done or watcher.show_invoking)) else None


def what_board_shows(watcher: Watcher, invocation: Invocation | Mapping[str, Any]) -> str | None:
    """The text that a board is to show of an invocation, as the model gave it; None if it shows none.

    Of the first one that is the prompt, as soon as there is one; of later ones the output. No other watcher has any.
    """
    if watcher.kind != "vestaboard":
        return None
    number = _field(invocation, "sequence_number")
    if number == 0:
        return _text(invocation, "input") if watcher.initial_prompt or 0 in watcher.offsets else None
    if not _is_on(watcher, number) or _field(invocation, "state") != "completed":
        return None
    return _text(invocation, "output")


def view_of(watcher: Watcher, invocations: Iterable[Shown], run_id: str | None = None) -> list[Shown | None]:
    """What each slot shows, after all that happened in a run: what one who comes late is to see.

    Args:
        watcher: a valid one.
        invocations: of one run, in any order; older states of the same one may be among them.
        run_id: those of other runs don't count; None: all are of the run.
    """
    slots: list[Shown | None] = [None] * slots_of(watcher)
    for invocation in invocations:
        slot = slot_of(watcher, invocation)
        if slot is not None and run_id in (None, _field(invocation, "run_id")):
            slots[slot] = _newer(slots[slot], invocation)
    return slots


def check_watcher(watcher: Watcher) -> list[str]:
    """All that is wrong with a watcher, each with the name of its field; [] if nothing is."""
    problems = []
    if not _NAME.fullmatch(watcher.name):
        problems.append(f"name: {watcher.name!r} may have letters without accents, digits and hyphens, at least one")
    if watcher.kind not in _CHECKS:
        return [*problems, f"kind: {watcher.kind!r} is none of {', '.join(_CHECKS)}"]
    return problems + [problem for check in _CHECKS[watcher.kind] for problem in check(watcher)]


def check_watchers(watchers: Sequence[Watcher]) -> list[str]:
    """All that is wrong with the watchers of one installation: with each, and with them together."""
    problems = [f"watcher {watcher.name!r}: {problem}" for watcher in watchers for problem in check_watcher(watcher)]
    problems += [
        f"name: {count} watchers are called {name!r}; rename" for name, count in _twice(w.name for w in watchers)
    ]
    boards = (watcher.board for watcher in watchers if watcher.kind == "vestaboard" and watcher.board)
    return problems + [
        f"board: {count} watchers write {board!r}; make them one with all their offsets"
        for board, count in _twice(boards)
    ]


def _check_grid(watcher: Watcher) -> list[str]:
    return [
        f"{field}: a grid needs them, from 1 to {MOST_ROWS}, not {value!r}"
        for field, value in (("rows", watcher.rows), ("columns", watcher.columns))
        if value is None or not 1 <= value <= MOST_ROWS
    ]


def _check_offsets(watcher: Watcher) -> list[str]:
    stride, offsets = watcher.stride, watcher.offsets
    problems = []
    if stride is None or stride < 1:
        problems.append(f"stride: a {watcher.kind} needs one, of 1 or more, not {stride!r}")
    if not offsets:
        problems.append(f"offsets: a {watcher.kind} needs at least one")
    problems += [f"offsets: {offset} is below 0" for offset in offsets if offset < 0]
    if stride is not None and stride >= 1:
        problems += [f"offsets: {offset} is not below the stride, {stride}" for offset in offsets if offset >= stride]
    return problems + [f"offsets: {offset} is there {count} times" for offset, count in _twice(offsets)]


def _check_board(watcher: Watcher) -> list[str]:
    problems = []
    if not _BOARD.fullmatch(watcher.board or ""):
        problems.append(
            f"board: a vestaboard needs the name of its board, of letters without accents, digits, - and _, "
            f"not {watcher.board!r}"
        )
    size = (watcher.rows, watcher.columns)
    if size != (None, None) and size not in BOARD_SIZES:
        sizes = " or ".join(f"{rows} x {columns}" for rows, columns in BOARD_SIZES)
        problems.append(
            f"rows, columns: boards have {sizes}, not {size[0]!r} x {size[1]!r}; without any it is the first"
        )
    return problems


def _check_absent(*fields: str) -> Check:
    def check(watcher: Watcher) -> list[str]:
        given = [(field, getattr(watcher, field)) for field in fields]
        return [
            f"{field}: a {watcher.kind} has none, leave it out (it is {value!r})"
            for field, value in given
            if value not in (None, (), False)
        ]

    return check


_CHECKS: dict[Literal["grid", "single", "vestaboard"], tuple[Check, ...]] = {
    "grid": (_check_grid, _check_absent("stride", "offsets", "board", "show_invoking", "initial_prompt")),
    "single": (_check_offsets, _check_absent("rows", "columns", "board", "initial_prompt")),
    "vestaboard": (_check_offsets, _check_board),
}


def _twice(names: Iterable[Any]) -> list[tuple[Any, int]]:
    return [(name, count) for name, count in Counter(names).items() if count > 1]


def _is_on(watcher: Watcher, number: int) -> bool:
    return number % (watcher.stride or 1) in watcher.offsets


def _newer(one: Shown | None, other: Shown) -> Shown:
    return other if one is None or _place(other) > _place(one) else one


def _place(invocation: Invocation | Mapping[str, Any]) -> tuple[int, bool, int, bool]:
    """Grows with each step of a run: by number, then ready, invoking, ready again for the next attempt ..., done."""
    state = _field(invocation, "state")
    is_done = state in ("completed", "failed")
    return _field(invocation, "sequence_number"), is_done, _field(invocation, "attempts"), state == "ready"


def _field(row: Invocation | Run | Mapping[str, Any], name: str) -> Any:
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def _text(invocation: Invocation | Mapping[str, Any], side: Literal["input", "output"]) -> str | None:
    found = invocation[side]["text"] if isinstance(invocation, Mapping) else getattr(invocation, f"{side}_text")
    return str(found) if found else None
