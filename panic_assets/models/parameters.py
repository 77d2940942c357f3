"""The parameters and load options that each adapter takes, as validated objects.

A registry entry's ``parameters`` shape each call, its ``load`` options shape what is put into memory. Adapters with a
closed set of names declare it here, so that a wrong name is found before anything is loaded. A diffusion pipeline's
call parameters are open: each pipeline class has its own, and its adapter checks them against the class it finds.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Options(BaseModel):
    """Base of all option sets: names are closed, values can't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoOptions(Options):
    """For adapters that have none."""


class PipelineParameters(BaseModel):
    """Keyword arguments of a diffusers pipeline's call, such as ``num_inference_steps``; open, see the module."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _not_ours(cls, values: Any) -> Any:
        ours = {"prompt", "generator", "return_dict", "output_type", "num_images_per_prompt"} & set(values)
        if ours:
            raise ValueError(f"{', '.join(sorted(ours))}: is set by the adapter itself; remove it")
        return values


class PipelineLoad(Options):
    """How a diffusers pipeline is loaded."""

    variant: str | None = Field(None, description="weight files named *.<variant>.safetensors, such as fp16")
    without: tuple[str, ...] = Field((), description="components left out, such as safety_checker or text_encoder_3")
    offload: Literal["none", "model", "sequential"] = Field("none", description="what moves to the host between uses")


class WritingParameters(Options):
    """How a model that writes decodes its text."""

    max_new_tokens: int = Field(64, gt=0)
    min_new_tokens: int = Field(0, ge=0)
    num_beams: int = Field(1, gt=0)
    repetition_penalty: float | None = Field(None, gt=0, description="none: as the checkpoint says")
    no_repeat_ngram_size: int | None = Field(None, ge=0, description="none: as the checkpoint says")
    do_sample: bool = False
    temperature: float = Field(1.0, gt=0)
    top_k: int = Field(0, ge=0, description="0 keeps all tokens")
    top_p: float = Field(1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.do_sample and self.num_beams > 1:
            raise ValueError("do_sample and num_beams > 1 exclude each other; keep one")
        if not self.do_sample and (self.temperature != 1.0 or self.top_k or self.top_p != 1.0):
            raise ValueError("temperature, top_k and top_p act only with do_sample: true")
        return self


class WritingLoad(Options):
    """How a model that writes is loaded."""

    pad_with_eos: bool = Field(False, description="for tokenizers that have no padding token")


class CaptionParameters(WritingParameters):
    """How a captioner is asked and how it writes.

    Styles: ``bare`` gives the picture alone (BLIP, GIT); ``chat`` asks ``instruction`` through the chat template;
    ``task`` gives a task token such as ``<CAPTION>`` (Florence-2).
    """

    style: Literal["bare", "chat", "task"]
    instruction: str = Field("Describe this image.", description="what a chat model is asked")
    task: str = Field("<CAPTION>", description="task token")


class ChatParameters(WritingParameters):
    """How a chat model is asked for a text about a text, and how it writes."""

    instruction: str = Field(description="what it is asked; {text} stands for the text that comes in")
    system: str | None = Field(None, description="what it is told before; none: as the chat template says")
    thinking: bool = Field(False, description="asks for thoughts where the template has a switch; never in the output")

    @field_validator("instruction")
    @classmethod
    def _has_a_place(cls, value: str) -> str:
        if "{text}" not in value:
            raise ValueError("has no {text}, the place of the text that comes in; such as 'Rephrase: {text}'")
        return value


class TextEmbeddingParameters(Options):
    """How texts are put to a sentence-transformers model."""

    prefix: str = Field("", description="put before each text, such as 'clustering: '")
    truncate_dim: int | None = Field(None, gt=0, description="keep the first so many dimensions (Matryoshka models)")


class DummyParameters(Options):
    """What a dummy does. Faults match a substring: of a text input, or of the hexadecimal digest of a picture."""

    variant: int = Field(0, ge=0, description="another number is another function")
    states: int | None = Field(None, gt=0, description="how many different outputs there are; none for no bound")
    side: int = Field(256, gt=0, description="pixels; edge of the pictures that a generator makes")
    fail_on: str | None = Field(None, min_length=1, description="raise for this input")
    empty_on: str | None = Field(None, min_length=1, description="write an empty text for this input")
    black_on: str | None = Field(None, min_length=1, description="make a black picture for this input")


PARAMETERS: dict[str, type[BaseModel]] = {
    "diffusers": PipelineParameters,
    "captioner": CaptionParameters,
    "chat": ChatParameters,
    "sentence-transformers": TextEmbeddingParameters,
    "encoder": NoOptions,
    "open-clip": NoOptions,
    "dummy": DummyParameters,
}
"""The parameters that an adapter takes, by its key."""

LOAD: dict[str, type[Options]] = {
    "diffusers": PipelineLoad,
    "captioner": WritingLoad,
    "chat": WritingLoad,
    "sentence-transformers": NoOptions,
    "encoder": NoOptions,
    "open-clip": NoOptions,
    "dummy": NoOptions,
}
"""The load options that an adapter takes, by its key."""
