"""How models that bring their own code are called, as data.

Here belongs one recipe for each way of calling. A new model that is called in a known way is a registry entry; a new
way is a recipe here. What a recipe's words mean is in ``plugin_child``, which carries them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Way:
    """What is done with items of one medium.

    ``method``: the model's method ``name`` is called with an item, or with a list of them if ``together``, and with
    those of ``arguments`` that the entry sets; of its result, ``key`` is taken where it is not empty. ``first_token``
    and ``mean``: the tokenizer's or image processor's output goes through the model, and of the last hidden states the
    first is taken, or the mean over tokens that are no padding.
    """

    how: Literal["method", "first_token", "mean"]
    name: str = ""
    key: str = ""
    together: bool = False
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A way of loading, by an auto class of transformers, and of calling for each medium."""

    kind: Literal["generator", "embedder"]
    auto: str
    ways: dict[str, Way] = field(default_factory=dict)
    like: str = ""


RECIPES: dict[str, Recipe] = {
    "moondream": Recipe(
        "generator",
        "AutoModelForCausalLM",
        {"image": Way("method", "caption", key="caption", arguments=("length", "settings"))},
        like="model.caption(picture, length='short')['caption']",
    ),
    "jina-clip": Recipe(
        "embedder",
        "AutoModel",
        {
            # Texts go one by one: the method pads to the longest of a list, and bits would depend on companions.
            "text": Way("method", "encode_text", arguments=("truncate_dim", "task")),
            "image": Way("method", "encode_image", together=True, arguments=("truncate_dim",)),
        },
        like="model.encode_text(text, truncate_dim=512), model.encode_image(pictures, truncate_dim=512)",
    ),
    "image-first-token": Recipe(
        "embedder", "AutoModel", {"image": Way("first_token")}, like="model(**inputs).last_hidden_state[:, 0]"
    ),
    "text-first-token": Recipe(
        "embedder", "AutoModel", {"text": Way("first_token")}, like="model(**inputs).last_hidden_state[:, 0]"
    ),
    "text-mean": Recipe(
        "embedder", "AutoModel", {"text": Way("mean")}, like="the mean of model(**inputs).last_hidden_state"
    ),
}
"""Recipes by the name that an entry's ``parameters.recipe`` gives."""


def as_message(name: str) -> dict[str, Any]:
    """A recipe as it is sent to the process that carries it out."""
    return asdict(RECIPES[name])


def recipe_problems(
    parameters: Mapping[str, Any], kind: str, takes: frozenset[str], dimension: int | None
) -> list[str]:
    """What is wrong with an entry's recipe, seen together with its other fields."""
    name = parameters.get("recipe")
    recipe = RECIPES.get(name) if isinstance(name, str) else None
    if recipe is None:
        return []
    problems = []
    if recipe.kind != kind:
        problems.append(f"parameters.recipe: {name} is a way of calling a {recipe.kind}")
    if strange := sorted(takes - set(recipe.ways)):
        problems.append(f"parameters.recipe: {name} takes no {' and no '.join(strange)}")
    arguments = parameters.get("arguments")
    truncate = arguments.get("truncate_dim") if isinstance(arguments, Mapping) else None
    if truncate is not None and truncate != dimension:
        problems.append(f"dimension: {dimension} is not parameters.arguments.truncate_dim, {truncate}")
    return problems
