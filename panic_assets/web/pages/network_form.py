"""The form of a network: what was typed, as the API takes it, and back again.

Here belong fields and their spelling; whether they hold is for the shapes of the API to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from starlette.datastructures import FormData

from panic_assets.live.networks import check_ring
from panic_assets.live.platforms.base import LiveModel
from panic_assets.live.records import ErrorAction, Network, OnError, Pacing
from panic_assets.web.pages.rendering import stations

ACTIONS = get_args(ErrorAction)
_NUMBERS = {
    **dict.fromkeys(("invocations", "seconds", "cost"), "limits"),
    **dict.fromkeys(("board_rest", "first_rest"), "pacing"),
}
_WAITS = ("attempts", "first_wait", "longest_wait")


@dataclass(frozen=True)
class NetworkForm:
    """A network as it stands in the form. ``values`` are the texts of its fields, ``models`` the draft of its ring."""

    values: Mapping[str, str]
    models: tuple[str, ...] = ()
    is_public: bool = False
    saved_models: tuple[str, ...] | None = None

    @classmethod
    def of(cls, network: Network) -> NetworkForm:
        """What is stored."""
        return cls(_texts(network), network.models, network.is_public, network.models)

    @classmethod
    def fresh(cls) -> NetworkForm:
        """What a new network begins with."""
        empty = {"name": "", "description": "", "lockout_seconds": "30"}
        return cls(empty | _settings(Pacing(), {"invocations": 1000, "seconds": None, "cost": None}, OnError()))

    @classmethod
    def sent(cls, form: FormData, saved: Network | None) -> NetworkForm:
        """What was sent."""
        values = {name: str(form.get(name, "")) for name in cls.fresh().values}
        models = tuple(str(name) for name in form.getlist("model"))
        return cls(values, models, "is_public" in form, saved.models if saved else None)

    @classmethod
    def changed_by(cls, form: FormData, saved: Network | None) -> NetworkForm:
        """After a button of the ring: ``up:2``, ``down:2``, ``remove:2``, or ``add`` with the model that was chosen."""
        sent, do, chosen = cls.sent(form, saved), str(form.get("do", "")), str(form.get("chosen", ""))
        models = list(sent.models)
        what, _, place = do.partition(":")
        if what == "add" and chosen:
            models.append(chosen)
        elif place.isdecimal() and (at := int(place)) < len(models):
            if what == "remove":
                del models[at]
            elif what in ("up", "down") and 0 <= (other := at + (1 if what == "down" else -1)) < len(models):
                models[at], models[other] = models[other], models[at]
        return replace(sent, models=tuple(models))

    def fields(self) -> dict[str, Any]:
        """As the API takes them.

        Raises:
            ValueError: a number is none.
        """
        nested: dict[str, dict[str, Any]] = {"limits": {}, "pacing": {"steps": _steps(self.values["steps"])}}
        for name, group in _NUMBERS.items():
            nested[group][name] = _number(name, self.values[name])
        nested["pacing"] = {name: value for name, value in nested["pacing"].items() if value is not None}
        on_error = {name: _number(name, self.values[name]) for name in _WAITS}
        actions = {kind: self.values[f"on_{kind}"] for kind in OnError().actions}
        return {
            "name": self.values["name"].strip(),
            "description": self.values["description"],
            "models": list(self.models),
            "lockout_seconds": _number("lockout_seconds", self.values["lockout_seconds"]) or 0.0,
            "is_public": self.is_public,
            "on_error": {"actions": actions, **{name: value for name, value in on_error.items() if value is not None}},
            **nested,
        }

    def ring(self, catalog: Mapping[str, LiveModel]) -> dict[str, Any]:
        """What the editor of the ring shows: its models, what is wrong with it, and which models could come next."""
        last = catalog.get(self.models[-1]) if self.models else None
        takes = last.gives if last else "text"
        offered = [model for model in catalog.values() if model.takes == takes and not model.deprecated]
        return {
            "stations": stations(self.models, catalog),
            "problems": check_ring(self.models, catalog),
            "next_takes": takes,
            "offered": _by_gives(offered),
            "is_saved": self.models == self.saved_models,
        }


def _by_gives(models: Sequence[LiveModel]) -> list[tuple[str, list[LiveModel]]]:
    found: dict[str, list[LiveModel]] = {}
    for model in sorted(models, key=lambda model: model.name.lower()):
        found.setdefault(model.gives, []).append(model)
    return sorted(found.items())


def _texts(network: Network) -> dict[str, str]:
    limits = {name: getattr(network.limits, name) for name in ("invocations", "seconds", "cost")}
    return {
        "name": network.name,
        "description": network.description,
        "lockout_seconds": _text(network.lockout_seconds),
        **_settings(network.pacing, limits, network.on_error),
    }


def _settings(pacing: Pacing, limits: Mapping[str, float | None], on_error: OnError) -> dict[str, str]:
    steps = "\n".join(f"{'later' if below is None else _text(below)}: {_text(rest)}" for below, rest in pacing.steps)
    numbers = {**limits, "board_rest": pacing.board_rest, "first_rest": pacing.first_rest}
    numbers |= {name: getattr(on_error, name) for name in _WAITS}
    actions = {f"on_{kind}": on_error.actions.get(kind, "stop") for kind in OnError().actions}
    return {"steps": steps, **{name: _text(value) for name, value in numbers.items()}, **actions}


def _text(number: float | None) -> str:
    return "" if number is None else f"{number:g}" if number != int(number) else str(int(number))


def _number(name: str, text: str) -> float | int | None:
    text = text.strip()
    if not text:
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise ValueError(f"{name}: {text!r} is no number") from None


def _steps(text: str) -> list[tuple[float | None, float]]:
    """Lines such as ``600: 1`` and ``later: 600``."""
    steps = []
    for line in text.splitlines():
        if not line.strip():
            continue
        below, colon, rest = (part.strip() for part in line.partition(":"))
        pause = _number("pacing", rest)
        if not colon or pause is None:
            raise ValueError(f"pacing: {line.strip()!r} is not AGE: REST, such as 600: 1, or later: 600")
        steps.append((None if below == "later" else _number("pacing", below), pause))
    return steps
