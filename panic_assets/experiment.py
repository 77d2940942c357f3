"""The experiment file: what is run, as a validated object.

Here belongs reading YAML or JSON, the forms that other systems' files take, and every check that can be made before a
model is loaded. Which models exist is told by the caller (a registry); expansion into runs belongs to the loop.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from panic_assets import image_formats
from panic_assets.written import FileProblems, named_values

KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
UNSEEDED = -1
#: Other spellings of networks and seeds that a file may use.
_ALIASES = ("network", "replicates", "seed_count", "num_runs")

Medium = Literal["text", "image"]


class ExperimentError(FileProblems):
    """An experiment that can't be run as written."""


class ModelFacts(Protocol):
    """What the checks need to know of a model."""

    @property
    def kind(self) -> str:
        """``generator`` or ``embedder``."""

    @property
    def takes(self) -> frozenset[str]:
        """Media that it accepts: ``text``, ``image``."""

    @property
    def gives(self) -> str | None:
        """Medium of a generator's output; None for an embedder."""


class Prompt(BaseModel):
    """An initial text with tags such as ``category: control``, by which analyses group and contrast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1)
    tags: dict[str, str] = {}


def _as_prompt(value: object) -> object:
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, Mapping) and "text" in value and "tags" not in value:
        tags = {str(key): str(tag) for key, tag in value.items() if key != "text"}
        return {"text": value["text"], "tags": tags}
    return value


class Experiment(BaseModel):
    """One experiment: every network is run from every prompt with every seed.

    A seed of -1 means unseeded: each invocation draws fresh noise, from a recorded number. Repeated -1 are replicates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    networks: tuple[tuple[str, ...], ...]
    prompts: tuple[Annotated[Prompt, BeforeValidator(_as_prompt)], ...]
    seeds: tuple[StrictInt, ...]
    max_length: StrictInt = Field(gt=0, le=1_000_000, description="invocations in a run, at most")
    embedding_models: tuple[str, ...]
    models: dict[str, dict[str, Any]] = {}
    cycle: Literal["stop", "continue"] = "stop"
    quality: Literal["record", "stop"] = "record"
    image_format: str = Field(
        image_formats.DEFAULT_FORMAT,
        description=f"how pictures are stored: {image_formats.IN_WORDS}",
        json_schema_extra={"pattern": image_formats.PATTERN},
    )
    imported_from: str = Field("", description="system that its runs come from; none of its loops is run here")

    @model_validator(mode="before")
    @classmethod
    def _other_forms(cls, values: Any) -> Any:
        """``network`` for one ring; ``replicates``, ``seed_count`` or ``num_runs`` for so many unseeded runs."""
        if not isinstance(values, Mapping):
            raise ValueError("an experiment is a mapping of fields such as networks, prompts, seeds")
        values = dict(values)
        if "network" in values:
            if "networks" in values:
                raise ValueError("has both network and networks; keep networks")
            network = values.pop("network")
            has_several = isinstance(network, list | tuple) and any(isinstance(part, list | tuple) for part in network)
            values["networks"] = network if has_several else [network]
        counts = [name for name in _ALIASES if name in values]
        if len(counts) + ("seeds" in values) > 1:
            raise ValueError(f"has {' and '.join([*counts, *(['seeds'] if 'seeds' in values else [])])}; keep one")
        if counts:
            count = values.pop(counts[0])
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ValueError(f"{counts[0]}: {count!r} is not a positive whole number")
            values["seeds"] = [UNSEEDED] * count
        elif "seeds" not in values:
            values["seeds"] = [UNSEEDED]
        return values

    @field_validator("name")
    @classmethod
    def _key(cls, name: str) -> str:
        if not KEY_PATTERN.fullmatch(name):
            raise ValueError("must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit")
        return name

    @field_validator("image_format")
    @classmethod
    def _format(cls, value: str) -> str:
        if value not in image_formats.FORMATS:
            raise ValueError(f"must be {image_formats.IN_WORDS}")
        return value

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        bad = [seed for seed in seeds if seed < UNSEEDED or seed >= 2**63]
        if bad:
            raise ValueError(f"{bad[0]} is neither -1 (unseeded) nor in 0 .. 2^63-1")
        return seeds

    @classmethod
    def load(cls, path: Path | str) -> Experiment:
        """Read a YAML or JSON file; the file's stem is the name unless the file gives one.

        Raises:
            ExperimentError: the file is missing, is not YAML or JSON, or a field is wrong; all problems are named.
        """
        return cls.parse(named_values(Path(path), ExperimentError), where=str(path))

    @classmethod
    def parse(cls, values: object, where: str = "experiment") -> Experiment:
        """Validate plain values; ``where`` names their origin in errors.

        Raises:
            ExperimentError: with one sentence for each problem.
        """
        try:
            experiment = cls.model_validate(values)
        except ValidationError as error:
            raise ExperimentError(where, [_sentence(e) for e in error.errors()]) from error
        problems = list(experiment._own_problems())
        if problems:
            raise ExperimentError(where, problems)
        return experiment

    def check(self, registry: Mapping[str, ModelFacts], where: str | None = None) -> None:
        """Check names and rings against the models that exist, and the format of pictures against what is installed.

        Raises:
            ExperimentError: unknown models (with the nearest names), rings whose media don't chain (closing link
                included), embedding models that fit no output, overrides of models that no network uses; a format of
                pictures that can't be written here.
        """
        problems = list(self._problems_with(registry))
        if problems:
            raise ExperimentError(where or f"experiment {self.name}", problems)

    @property
    def called_models(self) -> set[str]:
        """Names of all models that running it calls: embedders, and those of networks that were not imported."""
        rings = () if self.imported_from else self.networks
        return {name for network in rings for name in network} | set(self.embedding_models)

    @property
    def config(self) -> dict[str, Any]:
        """The experiment as plain JSON values."""
        return self.model_dump(mode="json")

    def _own_problems(self) -> Iterable[str]:
        for field in ("networks", "prompts", "seeds", "embedding_models"):
            # What was imported may be looked at as it is, without a vector of our own.
            if not getattr(self, field) and not (field == "embedding_models" and self.imported_from):
                yield f"{field}: is empty; give at least one"
        for number, network in enumerate(self.networks):
            if not network:
                yield f"networks[{number}]: is empty; a ring has at least one model"
        lists: dict[str, Sequence[object]] = {
            "networks": [" -> ".join(network) for network in self.networks],
            "prompts": [prompt.text for prompt in self.prompts],
            "seeds": [seed for seed in self.seeds if seed != UNSEEDED],
            "embedding_models": self.embedding_models,
        }
        for field, entries in lists.items():
            for entry in sorted({e for e in entries if entries.count(e) > 1}, key=str):
                yield f"{field}: {entry!r} is there {entries.count(entry)} times; remove the repeats"

    def _problems_with(self, registry: Mapping[str, ModelFacts]) -> Iterable[str]:
        outputs: set[str] = set()
        are_known = not self.imported_from  # the models that imported loops were made by need not exist here
        for number, network in enumerate(() if self.imported_from else self.networks):
            where = f"networks[{number}]"
            generators = [name for name in network if name in registry and registry[name].kind == "generator"]
            outputs |= {str(registry[name].gives) for name in generators}
            for name in dict.fromkeys(network):
                if name not in registry:
                    yield f"{where}: {unknown_model(name, registry)}"
                elif name not in generators:
                    yield f"{where}: {name} is an embedding model; a ring is made of generators"
            if len(generators) == len(network):
                yield from _broken_links(where, network, registry)
            else:
                are_known = False
        for number, name in enumerate(self.embedding_models):
            where = f"embedding_models[{number}]"
            if name not in registry:
                yield f"{where}: {unknown_model(name, registry)}"
            elif registry[name].kind != "embedder":
                yield f"{where}: {name} is a generator; give an embedding model"
            elif are_known and not registry[name].takes & outputs:
                yield (
                    f"{where}: {name} embeds {_either(registry[name].takes)}, "
                    f"but the networks give only {_either(outputs)}"
                )
        for name in set(self.models) - self.called_models:
            yield f"models.{name}: no network and no embedding model uses {name}"
        if missing := image_formats.problem(self.image_format):
            yield f"image_format: {self.image_format} {missing}"


def unknown_model(name: str, known: Iterable[str]) -> str:
    """A sentence that says a model does not exist and which names are near."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `panic models` lists what exists"
    return f"there is no model {name!r}{hint}"


def _broken_links(where: str, network: Sequence[str], registry: Mapping[str, ModelFacts]) -> Iterable[str]:
    first = registry[network[0]]
    if "text" not in first.takes:
        takes = _either(first.takes)
        yield f"{where}: starts with {network[0]}, which takes {takes}; a run starts with a prompt (text)"
    for place, name in enumerate(network):
        following = network[(place + 1) % len(network)]
        medium = str(registry[name].gives)
        if medium not in registry[following].takes:
            closing = " (the link that closes the ring)" if place == len(network) - 1 else ""
            yield (
                f"{where}: {name} gives {medium}, but {following} takes {_either(registry[following].takes)}{closing}"
            )


def _either(media: Iterable[str]) -> str:
    return " or ".join(sorted(media, reverse=True))


def _sentence(error: Mapping[str, Any]) -> str:
    """A pydantic error as field, value and remedy."""
    place = ""
    for part in error["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    kind = error["type"]
    if kind == "missing":
        return f"{place}: is missing"
    if kind == "extra_forbidden":
        fields = Prompt.model_fields if error["loc"][0] == "prompts" else [*Experiment.model_fields, *_ALIASES]
        near = get_close_matches(str(error["loc"][-1]), fields, n=1)
        return f"{place}: is not a field" + (f"; did you mean {near[0]}?" if near else f"; use {', '.join(fields)}")
    message = _MESSAGES.get(kind, str(error["msg"]).removeprefix("Value error, ").replace("Input should", "must"))
    if not place:
        return message
    shown = json.dumps(error["input"], default=str, ensure_ascii=False)[:80]
    return f"{place}: {shown.encode(errors='backslashreplace').decode()} {message}"


_MESSAGES = {
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of names to values",
    "string_type": "must be text; put it in quotes",
    "string_unicode": "must be Unicode; remove half characters",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "model_type": "must be a text, or a mapping with text and tags",
}
"""What is wrong, by pydantic's kind of error, where its own words are those of a programmer."""
