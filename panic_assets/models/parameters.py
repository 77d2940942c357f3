"""The parameters and load options that each adapter takes, as validated objects.

A registry entry's ``parameters`` shape each call, its ``load`` options shape what is put into memory. Adapters with a
closed set of names declare it here, so that a wrong name is found before anything is loaded. A diffusion pipeline's
call parameters are open: each pipeline class has its own, and its adapter checks them against the class it finds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from panic_assets.models.recipes import RECIPES


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


class Quantisation(Options):
    """Weights kept in fewer bits."""

    kind: Literal["torchao_int8", "torchao_fp8", "bitsandbytes_int8", "bitsandbytes_nf4"]
    components: tuple[str, ...] = Field((), description="parts of a pipeline; none named: what denoises")


class TaylorSeer(Options):
    """Attention is computed every so many steps and extrapolated between them (TaylorSeer, arXiv 2503.06923)."""

    kind: Literal["taylorseer"]
    cache_interval: int = Field(5, gt=1, description="steps from one computation to the next")
    disable_cache_before_step: int = Field(3, ge=1, description="steps at the beginning that are computed")
    disable_cache_after_step: int | None = Field(None, ge=1, description="from this step on all are computed")
    max_order: int = Field(1, ge=0, description="highest order of the extrapolation")


class PyramidAttention(Options):
    """Attention is computed every so many steps and repeated between them (PAB, arXiv 2408.12588)."""

    kind: Literal["pyramid_attention"]
    block_skip_range: int = Field(2, gt=1, description="steps from one computation to the next")
    timestep_range: tuple[int, int] = Field((100, 800), description="noise levels within which it is done, 0 .. 1000")


class MagCache(Options):
    """Steps are left out by a table of how much each changes, measured once for a model (MagCache)."""

    kind: Literal["magcache"]
    mag_ratios: tuple[float, ...] = Field(min_length=2, description="the table; diffusers measures it with calibrate")
    num_inference_steps: int = Field(gt=1, description="must be that of the call")
    threshold: float = Field(0.06, gt=0, description="error that is let pile up")
    max_skip_steps: int = Field(3, gt=0)
    retention_ratio: float = Field(0.2, ge=0, le=1, description="share of the steps, at the beginning, never left out")


class FirstBlock(Options):
    """A step is left out if the first block changed little, on average over the whole batch (FirstBlockCache)."""

    kind: Literal["first_block"]
    threshold: float = Field(0.05, gt=0, description="relative change below which a step is left out")


StepCache = Annotated[TaylorSeer | PyramidAttention | MagCache | FirstBlock, Field(discriminator="kind")]


def _no_download(name: str | None) -> str | None:
    """Refuse names of attention that stand for a compiled kernel from the hub."""
    if name is not None and (name.endswith("_hub") or "/" in name):
        what = "downloads compiled code from the hub and runs it in this process, at no fixed commit"
        raise ValueError(f"{what}; install the library it packs (flash-attn, sageattention) and name flash or sage")
    return name


class PipelineLoad(Options):
    """How a diffusers pipeline is loaded. What makes it faster is off unless asked for; its cost is in ``levers``."""

    variant: str | None = Field(None, description="weight files named *.<variant>.safetensors, such as fp16")
    without: tuple[str, ...] = Field((), description="components left out, such as safety_checker or text_encoder_3")
    offload: Literal["none", "model", "group", "sequential"] = Field(
        "none", description="what moves to the host between uses: components, their leaves through a stream, or leaves"
    )
    compile: Literal["none", "regional", "whole"] = Field("none", description="repeated blocks, or all that denoises")
    attention: Annotated[str | None, AfterValidator(_no_download)] = Field(
        None, description="a backend of diffusers, such as native, _native_cudnn, flash or sage"
    )
    quantisation: Quantisation | None = None
    step_cache: StepCache | None = None
    channels_last: bool = Field(False, description="memory layout of a UNet and an autoencoder")


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
    attention: Literal["eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3"] | None = Field(
        None, description="none: as transformers chooses; flash_attention_* wants flash-attn to be installed"
    )
    quantisation: Quantisation | None = None

    @field_validator("quantisation")
    @classmethod
    def _has_no_parts(cls, value: Quantisation | None) -> Quantisation | None:
        if value is not None and value.components:
            raise ValueError("components: this model is quantised as a whole; remove them")
        return value


class CaptionParameters(WritingParameters):
    """How a captioner is asked and how it writes.

    Styles: ``bare`` gives the picture alone (BLIP, GIT); ``chat`` asks ``instruction`` through the chat template;
    ``task`` gives a task token such as ``<CAPTION>`` (Florence-2); ``text`` gives ``instruction`` as plain text beside
    the picture (InstructBLIP, PaliGemma).
    """

    style: Literal["bare", "chat", "task", "text"]
    instruction: str = Field("Describe this image.", description="what a model is asked in the styles chat and text")
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


class ServedParameters(Options):
    """How a model behind a server is asked and how it writes."""

    instruction: str = Field(description="what it is asked; {text} stands for the text that comes in, if one does")
    system: str | None = Field(None, description="what it is told before; none: as the server's chat template says")
    max_new_tokens: int = Field(64, gt=0)
    temperature: float = Field(0.0, ge=0, description="0: always the likeliest word")
    top_p: float = Field(1.0, gt=0, le=1)
    extra_body: dict[str, Any] = Field({}, description="more fields of the request; null leaves one of ours out")

    @field_validator("extra_body")
    @classmethod
    def _not_ours(cls, values: dict[str, Any]) -> dict[str, Any]:
        ours = {"model", "messages", "stream", "n"} & set(values)
        if ours:
            raise ValueError(f"{', '.join(sorted(ours))}: is set by the adapter itself; remove it")
        return values


class TextEmbeddingParameters(Options):
    """How texts are put to a sentence-transformers model."""

    prefix: str = Field("", description="put before each text, such as 'clustering: '")
    truncate_dim: int | None = Field(None, gt=0, description="keep the first so many dimensions (Matryoshka models)")


class TextEmbeddingLoad(Options):
    """How a sentence-transformers model is loaded."""

    backend: Literal["torch", "onnx"] = Field("torch", description="what computes the transformer")
    provider: str | None = Field(
        None, description="of ONNX Runtime; none: CUDAExecutionProvider on CUDA, else the CPU's"
    )
    provider_options: dict[str, str] = Field(
        {}, description="of that provider, such as {cudnn_conv_algo_search: DEFAULT}"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.backend == "torch" and (self.provider is not None or self.provider_options):
            raise ValueError("provider and provider_options act only with backend: onnx")
        return self


class PluginParameters(Options):
    """How a model that brings its own code is called."""

    recipe: str = Field(description="a way of calling, of recipes.py")
    arguments: dict[str, Any] = Field({}, description="keyword arguments of the model's method that the recipe knows")
    prefix: str = Field("", description="put before each text")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.recipe not in RECIPES:
            raise ValueError(f"recipe: there is no {self.recipe!r}; there are {', '.join(RECIPES)}")
        known = {name for way in RECIPES[self.recipe].ways.values() for name in way.arguments}
        if strangers := sorted(set(self.arguments) - known):
            has = ", ".join(sorted(known)) or "none"
            raise ValueError(f"arguments: {self.recipe} knows no {', '.join(strangers)}; it knows {has}")
        return self


class PluginLoad(Options):
    """Where the code of a model comes from besides its own repository."""

    code: dict[
        Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")], Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    ] = Field({}, description="repositories whose code it uses, and the commit of each")


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
    "openai": ServedParameters,
    "plugin": PluginParameters,
    "dummy": DummyParameters,
}
"""The parameters that an adapter takes, by its key."""

LOAD: dict[str, type[Options]] = {
    "diffusers": PipelineLoad,
    "captioner": WritingLoad,
    "chat": WritingLoad,
    "sentence-transformers": TextEmbeddingLoad,
    "encoder": NoOptions,
    "open-clip": NoOptions,
    "openai": NoOptions,
    "plugin": PluginLoad,
    "dummy": NoOptions,
}
"""The load options that an adapter takes, by its key."""
