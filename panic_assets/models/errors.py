"""The errors of this room.

Here belongs what can be wrong with a model's name, its description, its files or its call, as exceptions whose text
tells what would be right; all of them can be pickled, for models may compute in another process. Nothing here catches
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from panic_assets.errors import PanicError


class ModelError(PanicError):
    """Anything wrong with a model; the classes below say what."""


class UnknownModel(ModelError, KeyError):
    """A name that no registry entry has; the text names the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the text in quotes


class RegistryError(ModelError):
    """A registry file, an entry or an override that is not valid; ``problems`` holds one sentence for each."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where, self.problems = where, list(problems)
        super().__init__(f"{where}: " + "".join(f"\n  - {problem}" for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return (RegistryError, (self.where, self.problems))


class ModelLoadError(ModelError):
    """A model that can't be loaded: which, from where, what is wrong and what to do."""

    def __init__(self, model: str, source: str, problem: str, remedy: str) -> None:
        self.model, self.source, self.problem, self.remedy = model, source, problem, remedy
        super().__init__(f"{model} can't be loaded from {source}: {problem}. {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (ModelLoadError, (self.model, self.source, self.problem, self.remedy))


class ModelCallError(ModelError):
    """A call with inputs that the model can't take, or that failed inside the model."""
