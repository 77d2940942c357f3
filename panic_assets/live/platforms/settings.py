"""What the ``settings`` of a live model may hold on each platform, and the names of the keys that platforms want.

Here belong shapes alone: the catalog checks entries by them, the platforms read them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from panic_assets.live.records import ErrorKind

#: The secret that each hosted platform wants; dummies and local models want none.
KEY_NAMES: dict[str, str] = {
    "openai": "OPENAI_API_KEY",
    "replicate": "REPLICATE_API_TOKEN",
    "gemini": "GEMINI_API_KEY",
}


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _PaidByToken(_Settings):
    price_in: float | None = Field(None, ge=0, description="US dollars for a million tokens that go in")
    price_out: float | None = Field(None, ge=0, description="US dollars for a million tokens that come out")


class OpenAISettings(_PaidByToken):
    """Of a chat model."""

    system: str = (
        "You are one voice in a ring of machines that make art for an audience. Whatever you are given, answer with a "
        "short and imaginative description, reading or continuation of it. Always answer with something."
    )
    temperature: float = Field(1.0, ge=0, le=2)
    max_completion_tokens: int = Field(150, gt=0)


class GeminiSettings(_PaidByToken):
    """Of a model that describes sounds or pictures, or answers texts. ``prompt`` goes after what is described."""

    prompt: str = ""


class EditSettings(_Settings):
    """Another model that is called when a text is the address of a picture: the picture is edited by it."""

    path: str
    input_key: str = "input_image"
    input: dict[str, Any] = {}


class ReplicateSettings(_Settings):
    """Of a model on Replicate.

    ``input`` goes along with what is put in under ``input_key`` (that of the medium if none: prompt, image, audio);
    ``template`` is what a text is put into, in place of {text}. ``output_key`` picks from an output that is a mapping;
    ``repair_key`` picks from a text that is a mapping in quotes of one or the other kind.
    """

    input_key: str | None = None
    input: dict[str, Any] = {}
    template: str | None = Field(None, pattern=r"\{text\}")
    output_key: str | None = None
    repair_key: str | None = None
    version: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="none: the latest")
    price_per_second: float | None = Field(None, ge=0, description="US dollars for a second of computing")
    edit: EditSettings | None = None
    gives_address: bool = Field(False, description="calls nothing: gives the address of its input as a text")


class DummySettings(_Settings):
    """Of a dummy: what goes wrong, on purpose. ``fail_n_times`` counts anew for each place in a catalog."""

    fail_n_times: int = Field(0, ge=0, description="the first calls of this model fail")
    always_fail: ErrorKind | None = None
    fail_kind: ErrorKind = Field("transient", description="of the calls that fail_n_times is about")
    retry_after: float | None = Field(None, ge=0)
    delay_seconds: float = Field(0.0, ge=0, description="before it answers or fails")


class LocalSettings(_Settings):
    """Of a model of the registry. ``seed``: always the same noise; none: drawn for each call."""

    seed: int | None = Field(None, ge=0, lt=2**63)
    parameters: dict[str, Any] = Field({}, description="in place of those of the registry, by name")


SETTINGS: dict[str, type[_Settings]] = {
    "openai": OpenAISettings,
    "replicate": ReplicateSettings,
    "gemini": GeminiSettings,
    "dummy": DummySettings,
    "local": LocalSettings,
}

PlatformName = Literal["openai", "replicate", "gemini", "dummy", "local"]
