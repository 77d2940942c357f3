"""One model as data: where it comes from, how it is called, what it takes and gives.

Here belongs the shape of a registry entry and what makes two entries the same model. Entries themselves are data
(``registry.yaml``); reading files is the registry's business, loading weights the adapters'.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from panic_assets.models.errors import RegistryError
from panic_assets.models.levers import step_cache_problems
from panic_assets.models.parameters import LOAD, PARAMETERS
from panic_assets.models.recipes import recipe_problems
from panic_assets.paths import project_dir

Medium = Literal["text", "image"]
DType = Literal["float32", "bfloat16", "float16"]
_BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
_URL = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"  # a key within an address would be shown wherever the address is
#: GiB of a model that streams from the host: FLUX.2-dev peaked at 5.6, its work included (PANIC-TDA).
_STREAMED_GB = 6.0
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


class ServerSource(BaseModel):
    """A model that a server holds, asked as OpenAI's API is: vLLM, SGLang, llama.cpp or a hosted platform.

    What the model is, its name says. All else is the way to it, which may change without making other outputs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["server"] = "server"
    model: str = Field(min_length=1, description="the name that the server knows it by")
    url: str = Field(pattern=_URL, description="where the API begins, such as http://127.0.0.1:8000/v1")
    url_variable: str | None = Field(None, description="environment variable that takes the place of url where set")
    key_variable: str | None = Field(None, description="environment variable with the key of the API")
    timeout_seconds: float = Field(120.0, gt=0, description="for one answer")
    attempts: int = Field(5, gt=0, description="how often is asked where the server is busy or can't be reached")
    pause_seconds: float = Field(0.5, gt=0, description="before the second attempt; doubled before each further one")

    @property
    def address(self) -> str:
        """The url in use, without a slash at its end.

        Raises:
            ValueError: the environment variable holds something else; the text leaves out what, lest it be a secret.
        """
        own = os.environ.get(self.url_variable, "").strip() if self.url_variable else ""
        if own and not re.search(_URL, own):
            raise ValueError(f"the environment variable {self.url_variable} is not such as http://127.0.0.1:8000/v1")
        return (own or self.url).rstrip("/")

    def __str__(self) -> str:
        try:
            return f"{self.model} of the server at {self.address}"
        except ValueError:
            return f"{self.model} of the server that the environment variable {self.url_variable} names"


class BuiltinSource(BaseModel):
    """No files: the adapter computes the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["builtin"] = "builtin"

    def __str__(self) -> str:
        return "this package"


Source = Annotated[HubSource | FolderSource | PackageSource | ServerSource | BuiltinSource, Field(discriminator="kind")]


class Timing(BaseModel):
    """Seconds that somebody measured, and on what.

    ``seconds`` of one item in a batch of ``batch`` items, the model being in memory; ``load_seconds`` from files to
    memory; ``cold_seconds`` of one item by itself, loading included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    device: str
    batch: int | None = Field(None, gt=0, description="none: not told")
    seconds: float | None = Field(None, gt=0)
    load_seconds: float | None = Field(None, gt=0)
    cold_seconds: float | None = Field(None, gt=0)
    setting: str = Field("", description="in what the measured call differed from the entry, as far as is known")
    source: str

    @model_validator(mode="after")
    def _something(self) -> Timing:
        if self.seconds is None and self.load_seconds is None and self.cold_seconds is None:
            raise ValueError("holds no seconds; give seconds, load_seconds or cold_seconds")
        return self


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
    batch: int | None = Field(
        None, gt=0, description="inputs in a call, always; the size changes the bits of a result; none: probed"
    )
    one_by_one: bool = Field(False, description="companions in a batch change its outputs, so that batch must be 1")
    seed_behaviour: Literal["seeded", "deterministic", "none"] = Field(
        description="seeded: repeats for an equal seed; deterministic: ignores the seed; none: does not repeat"
    )
    max_text_tokens: int | None = Field(None, gt=0, description="tokens of a text that are read, special ones included")
    memory_gb: float = Field(ge=0, description="GiB of weights in memory in the dtype of a GPU")
    largest_gb: float | None = Field(
        None, gt=0, description="GiB of the largest part, which load.offload: model needs in memory; same dtype"
    )
    timings: tuple[Timing, ...] = ()
    licence: str
    remote_code: bool = Field(False, description="brings code of its own: runs only if allowed, in its own process")
    gated: bool = Field(False, description="the hub asks for an account that has accepted the licence")
    model_class: str | None = Field(None, description="class in the adapter's library that the files name")
    verified: str = Field("", description="what the tests load and run in this class's stead; empty if nothing")
    not_verified: str = Field("", description="why no test does; every shipped entry has this or verified")
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
        return _digest(self, set(ModelEntry.model_fields) - _NOT_IN_OUTPUT, {"source": _WAY_TO_A_SERVER})

    @property
    def needs_full_batches(self) -> bool:
        """Whether the size of a call decides bits. A server cuts its batches itself, and padding would be paid for."""
        return self.source.kind != "server"

    @property
    def device_gb(self) -> float:
        """GiB that the weights take of a device at once: all of them, or what offload leaves there."""
        offload = self.load.get("offload", "none")
        if offload == "model":
            return self.largest_gb or self.memory_gb
        return min(self.memory_gb, _STREAMED_GB) if offload in ("sequential", "group") else self.memory_gb

    def memory_in(self, dtype: DType) -> float:
        """GiB of weights in a dtype: ``memory_gb``, which is told for that of a GPU, by the bytes of a number."""
        return self.memory_gb * _BYTES[dtype] / _BYTES[self.dtype["cuda"]]

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
        changed = parse_entry(values, where)
        return self._scaled(changed) if {"memory_gb", "largest_gb"}.isdisjoint(overrides) else changed

    def _scaled(self, changed: ModelEntry) -> ModelEntry:
        """``changed`` with the memory of its dtype."""
        factor = _BYTES[changed.dtype["cuda"]] / _BYTES[self.dtype["cuda"]]
        if factor == 1:
            return changed
        largest = None if self.largest_gb is None else self.largest_gb * factor
        return changed.model_copy(update={"memory_gb": self.memory_gb * factor, "largest_gb": largest})

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
        if self.verified and self.not_verified:
            problems.append("not_verified: contradicts verified; keep one")
        if self.kind == "embedder" and self.batch is None:
            problems.append("batch: is needed for embedders, which compute that many at a time; such as 32")
        if self.one_by_one and self.batch != 1:
            problems.append(f"batch: {self.batch} for a model whose outputs depend on companions in a batch; give 1")
        if self.largest_gb is not None and self.largest_gb > self.memory_gb:
            problems.append(f"largest_gb: {self.largest_gb:g} is more than memory_gb, {self.memory_gb:g}")
        if (self.source.kind == "server") != (self.adapter == "openai"):
            problems.append("source: the kind server and the adapter openai go together; change one of them")
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
        problems += step_cache_problems(self.load, self.parameters, self.seed_behaviour)
        problems += recipe_problems(self.parameters, self.kind, self.takes, self.dimension)
        if self.remote_code != (self.adapter == "plugin"):
            problems.append("remote_code: true goes with adapter: plugin, which alone runs a model's own code")
        if self.adapter == "openai":
            problems += self._server_problems()
        truncate = self.parameters.get("truncate_dim")
        if truncate is not None and truncate != self.dimension:
            problems.append(f"dimension: {self.dimension} is not parameters.truncate_dim, {truncate}")
        return problems

    def _server_problems(self) -> list[str]:
        problems = []
        if self.output != "text":
            problems.append("output: a server of this kind writes; text would be right")
        if self.input == "text" and "{text}" not in str(self.parameters.get("instruction")):
            problems.append("parameters.instruction: has no {text}, the place of the text that comes in")
        if self.batch is None:
            problems.append(
                "batch: is needed for a server, whose memory can't be probed; questions asked at once, as 8"
            )
        if self.max_text_tokens is not None:
            problems.append("max_text_tokens: only the server counts tokens; remove it")
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
    "largest_gb",
)
_MERGED = {"parameters", "load"}
_WRITERS = {"captioner": "a captioner", "chat": "a chat model"}
_NOT_IN_OUTPUT = {
    "name",
    "memory_gb",
    "largest_gb",
    "timings",
    "one_by_one",
    "licence",
    "remote_code",  # the adapter says it too
    "gated",
    "model_class",
    "verified",
    "not_verified",
    "unverified",
    "notes",
    "replaces",
}

_WAY_TO_A_SERVER = set(ServerSource.model_fields) - {"kind", "model"}


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


def _digest(entry: ModelEntry, fields: set[str], but: dict[str, set[str]] | None = None) -> str:
    values = entry.model_dump(mode="json", include=fields, exclude=but)
    content = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return blake2b(content.encode(), digest_size=16).hexdigest()
