"""One model as data: where it comes from, how it is called, what it takes and gives.

Here belongs the shape of a registry entry and what makes two entries the same model. Entries themselves are data
(``registry.yaml``); reading files is the registry's business, loading weights the adapters'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from panic_assets.models.errors import RegistryError
from panic_assets.models.parameters import LOAD, PARAMETERS
from panic_assets.paths import project_dir

Medium = Literal["text", "image"]
DType = Literal["float32", "bfloat16", "float16"]
DEFAULT_DTYPE: dict[str, str] = {"cpu": "float32", "cuda": "bfloat16", "mps": "bfloat16"}


class HubSource(BaseModel):
    """A repository on the Hugging Face hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["hub"] = "hub"
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")

    def __str__(self) -> str:
        return f"the hub repository {self.repo}"


class FolderSource(BaseModel):
    """A folder on this machine; a relative path starts at ``data/models`` of the project."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["folder"] = "folder"
    path: str

    def resolve(self) -> Path:
        """The folder as absolute path."""
        return project_dir() / "data" / "models" / Path(self.path).expanduser()

    def __str__(self) -> str:
        return f"the folder {self.resolve()}"


class PackageSource(BaseModel):
    """A folder inside an installed Python package, with the digest of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["package"] = "package"
    package: str = Field(description="name to give to pip, with a version")
    module: str
    path: str = Field(description="folder of the model inside the package")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of model.safetensors")

    def __str__(self) -> str:
        return f"the Python package {self.package}"


class BuiltinSource(BaseModel):
    """No files: the adapter computes the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["builtin"] = "builtin"

    def __str__(self) -> str:
        return "this package"


Source = Annotated[HubSource | FolderSource | PackageSource | BuiltinSource, Field(discriminator="kind")]


def _per_device(value: object) -> object:
    """One dtype stands for all devices; a mapping adds to the defaults."""
    if isinstance(value, str):
        return dict.fromkeys(DEFAULT_DTYPE, value)
    return {**DEFAULT_DTYPE, **value} if isinstance(value, Mapping) else value


class ModelEntry(BaseModel):
    """One registry entry. Generators have ``input`` and ``output``, embedders ``inputs`` and ``dimension``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")
    adapter: str
    source: Source
    revision: str | None = Field(None, description="commit, tag or branch of a hub repository; pin a commit to replay")
    kind: Literal["generator", "embedder"]
    input: Medium | None = None
    output: Medium | None = None
    inputs: tuple[Medium, ...] = ()
    dimension: int | None = Field(None, gt=0)
    normalised: bool | None = Field(None, description="vectors have length 1")
    parameters: dict[str, Any] = {}
    load: dict[str, Any] = {}
    dtype: Annotated[dict[Literal["cpu", "cuda", "mps"], DType], BeforeValidator(_per_device)] = Field(
        default_factory=lambda: dict(DEFAULT_DTYPE)  # type: ignore[arg-type]
    )
    batch: int = Field(gt=0, description="inputs in a call, always; the size changes the bits of a result")
    seed_behaviour: Literal["seeded", "deterministic", "none"] = Field(
        description="seeded: repeats for an equal seed; deterministic: ignores the seed; none: does not repeat"
    )
    max_text_tokens: int | None = Field(None, gt=0, description="tokens of a text that are read, special ones included")
    memory_gb: float = Field(ge=0, description="GiB of weights in memory in the dtype of a GPU")
    licence: str
    gated: bool = Field(False, description="the hub asks for an account that has accepted the licence")
    model_class: str | None = Field(None, description="class in the adapter's library that the files name")
    verified: str = Field("", description="what the tests load and run in this class's stead; empty if nothing")
    unverified: tuple[str, ...] = Field((), description="fields whose value was not checked against the model's page")
    notes: str = ""
    replaces: bool = Field(False, description="takes the place of an entry of the same name in an earlier file")

    @property
    def takes(self) -> frozenset[str]:
        """Media that the model accepts."""
        return frozenset(self.inputs) if self.kind == "embedder" else frozenset({str(self.input)})

    @property
    def gives(self) -> str | None:
        """Medium of a generator's output; None for an embedder."""
        return self.output

    @property
    def load_identity(self) -> str:
        """32 hexadecimal digits; entries that agree here can share weights in memory."""
        return _digest(self, {"adapter", "kind", "inputs", "source", "revision", "load", "dtype"})

    @property
    def identity(self) -> str:
        """32 hexadecimal digits over everything that an output depends on, the name excepted."""
        return _digest(self, set(ModelEntry.model_fields) - _NOT_IN_OUTPUT)

    def with_overrides(self, overrides: Mapping[str, Any]) -> ModelEntry:
        """A copy with other values, as an experiment asks; ``parameters`` and ``load`` are merged, the rest replaced.

        Raises:
            RegistryError: a field that can't be overridden (with the nearest names), or a value that is not valid.
        """
        where = f"overrides of {self.name}"
        problems = [self._no_override(field) for field in overrides if field not in OVERRIDABLE]
        if problems:
            raise RegistryError(where, problems)
        values = self.model_dump() | dict(overrides)
        for field in _MERGED & set(overrides):
            if not isinstance(overrides[field], Mapping):
                raise RegistryError(where, [f"{field}: {overrides[field]!r} is not a mapping of names to values"])
            values[field] = getattr(self, field) | dict(overrides[field])
        return parse_entry(values, where)

    def _no_override(self, field: str) -> str:
        if field in self.parameters or field in PARAMETERS[self.adapter].model_fields:
            return f"{field}: is a parameter; write it under parameters, as {{parameters: {{{field}: ...}}}}"
        near = get_close_matches(field, OVERRIDABLE, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"{', '.join(OVERRIDABLE)} can be"
        return f"{field}: can't be overridden; {hint}"

    @model_validator(mode="after")
    def _whole(self) -> ModelEntry:
        problems = [*self._shape_problems(), *self._option_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _shape_problems(self) -> list[str]:
        wanted = {"generator": ("input", "output"), "embedder": ("inputs", "dimension", "normalised")}
        problems = []
        for kind, fields in wanted.items():
            for field in fields:
                is_set = getattr(self, field) not in (None, ())
                if is_set != (kind == self.kind):
                    problems.append(f"{field}: is {'needed for' if not is_set else 'not a field of'} {self.kind}s")
        if self.revision is not None and not isinstance(self.source, HubSource):
            problems.append("revision: only a hub repository has one; remove it")
        if self.revision is None and isinstance(self.source, HubSource):
            problems.append("revision: is needed for a hub repository; a commit of 40 hexadecimal digits, or main")
        unknown = set(self.unverified) - set(ModelEntry.model_fields)
        problems += [f"unverified: {field!r} is not a field" for field in sorted(unknown)]
        return problems

    def _option_problems(self) -> list[str]:
        if self.adapter not in PARAMETERS:
            near = get_close_matches(self.adapter, PARAMETERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(PARAMETERS)}"
            return [f"adapter: there is no {self.adapter!r}; {hint}"]
        problems = []
        for field, shapes in (("parameters", PARAMETERS), ("load", LOAD)):
            shape = shapes[self.adapter]
            try:
                shape.model_validate(getattr(self, field))
            except ValidationError as error:
                problems += [sentence(e, shape, field) for e in error.errors()]
        writer = _WRITERS.get(self.adapter)
        if writer and bool(self.parameters.get("do_sample")) != (self.seed_behaviour == "seeded"):
            problems.append(f"seed_behaviour: {writer} with do_sample is seeded, one without is deterministic")
        if self.adapter == "chat" and self.max_text_tokens is None:
            problems.append(
                "max_text_tokens: is needed for a chat model, which gets all texts padded to it; such as 512"
            )
        truncate = self.parameters.get("truncate_dim")
        if truncate is not None and truncate != self.dimension:
            problems.append(f"dimension: {self.dimension} is not parameters.truncate_dim, {truncate}")
        return problems


OVERRIDABLE = (
    "parameters",
    "load",
    "batch",
    "revision",
    "dtype",
    "source",
    "seed_behaviour",
    "dimension",
    "max_text_tokens",
    "memory_gb",
)
_MERGED = {"parameters", "load"}
_WRITERS = {"captioner": "a captioner", "chat": "a chat model"}
_NOT_IN_OUTPUT = {"name", "memory_gb", "licence", "gated", "model_class", "verified", "unverified", "notes", "replaces"}


def parse_entry(values: Mapping[str, Any], where: str) -> ModelEntry:
    """Validate one entry; ``where`` names its origin in errors.

    Raises:
        RegistryError: with one sentence for each problem.
    """
    try:
        return ModelEntry.model_validate(values)
    except ValidationError as error:
        raise RegistryError(where, [s for e in error.errors() for s in sentence(e, ModelEntry).split("\n")]) from error


def sentence(error: Any, shape: type[BaseModel], under: str = "") -> str:
    """A pydantic error as place, value and remedy; unknown names come with the nearest known one."""
    place = ".".join([*([under] if under else []), *(str(part) for part in error["loc"])])
    if error["type"] == "missing":
        return f"{place}: is missing"
    if error["type"] == "extra_forbidden":
        near = get_close_matches(str(error["loc"][-1]), shape.model_fields, n=1)
        return f"{place}: is not a field" + (f"; did you mean {near[0]}?" if near else "")
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if not error["loc"]:
        return f"{under}: {message}" if under else message
    return f"{place}: {json.dumps(error['input'], default=str)[:80]} {message}"


def _digest(entry: ModelEntry, fields: set[str]) -> str:
    content = json.dumps(entry.model_dump(mode="json", include=fields), sort_keys=True, separators=(",", ":"))
    return blake2b(content.encode(), digest_size=16).hexdigest()
