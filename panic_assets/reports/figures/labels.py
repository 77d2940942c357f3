"""Words on figures: captions made plain, names of networks made short, long texts broken into lines.

Here belongs text alone.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable, Sequence

from panic_assets.reports.fonts import drawable

_ARROW = " -> "
_SHORTEST = 6  # letters of a model's name


def plain(text: str | None, length: int = 60) -> str:
    """A caption on one line, of at most ``length`` characters, with a box for each that the font lacks."""
    words = drawable(" ".join((text or "").split()))
    return words if len(words) <= length else words[: length - 1].rstrip() + "…"


def wrapped(text: str | None, width: int, lines: int) -> str:
    """A caption broken into at most ``lines`` lines of ``width`` characters."""
    return textwrap.fill(plain(text, 10_000), width, max_lines=lines, placeholder="…") if text else ""


def short_networks(names: Iterable[str], length: int = 44) -> dict[str, str]:
    """Names of networks, ``A -> B``, of about ``length`` characters, still different from one another.

    In a name that is too long models give up the first word that all models share (``Tiny`` of ``TinyCaption``), then
    letters in their middles, then models in the middle of the ring go.
    """
    different = list(dict.fromkeys(names))
    models = {model for name in different for model in name.split(_ARROW)}
    shared = _first_word(models)
    short = {name: _short(name, shared, length) for name in different}
    seen: dict[str, int] = {}
    for name in different:
        made = short[name]
        seen[made] = seen.get(made, 0) + 1
        if seen[made] > 1:
            short[name] = f"{made} ({seen[made]})"
    return short


def space_name(embedding_model: str, modality: str) -> str:
    """A space in words; empty for none."""
    return ", ".join(part for part in (embedding_model, modality) if part)


def readable(statistic: str) -> str:
    """A statistic's name as words."""
    return statistic.replace("_", " ")


def broken(name: str, width: int = 30) -> str:
    """A network's name on lines of about ``width`` characters, broken before arrows."""
    lines = [""]
    for part in name.replace(_ARROW, "\n-> ").split("\n"):
        if lines[-1] and len(lines[-1]) + 1 + len(part) > width:
            lines.append(part)
        else:
            lines[-1] = f"{lines[-1]} {part}".strip()
    return "\n".join(lines)


def _first_word(models: Collection[str]) -> str:
    """The first word, as capitals cut them, of all names of models, if each has another after it; else nothing."""
    words = {(re.findall(r"^[A-Z][a-z]+(?=[A-Z])", model) or [""])[0] for model in models}
    return words.pop() if len(words) == 1 and len(models) > 1 else ""


def _short(name: str, shared: str, length: int) -> str:
    models = name.split(_ARROW)
    if len(name) > length:
        models = [model.removeprefix(shared) for model in models]
    room = length - len(_ARROW) * (len(models) - 1)
    each = max(_SHORTEST, room // len(models))
    if len(_ARROW.join(models)) > length:
        spare = sum(max(0, each - len(model)) for model in models)
        longer = sum(len(model) > each for model in models)
        each += spare // longer if longer else 0
        models = [_squeezed(model, each) for model in models]
    if len(_ARROW.join(models)) > length + 8 and len(models) > 3:
        models = [models[0], models[1], f"({len(models) - 3} more)", models[-1]]
    return plain(_ARROW.join(models), 2 * length)


def _squeezed(model: str, length: int) -> str:
    if len(model) <= length:
        return model
    tail = (length - 1) // 2
    return f"{model[: length - 1 - tail]}…{model[len(model) - tail :]}"


def and_more(shown: Sequence[object], of: int, what: str) -> str:
    """A remark on what was left out; empty if nothing was."""
    return f"{of - len(shown)} more {what} not shown" if of > len(shown) else ""
