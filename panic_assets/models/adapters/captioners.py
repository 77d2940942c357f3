"""Image to text through transformers: every model of ``AutoModelForImageTextToText``.

Here belong the three ways of asking for a caption and sampling that can be repeated. Which models there are and what
they are asked is registry data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from panic_assets.models.adapters import weights
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.base import Device, Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.parameters import CaptionLoad, CaptionParameters


class SeededSampling(LogitsProcessor):
    """Sampling as an argmax: adds Gumbel noise to each row's scores, from that row's own CPU generator.

    The argmax of log-probabilities plus independent Gumbel noise is a sample of the distribution (E. J. Gumbel 1954;
    the Gumbel-max trick). With greedy decoding on top, a caption depends on its picture and seed alone, which the
    library's own sampling, with one random state for all rows, can't give.
    """

    def __init__(self, seeds: Sequence[int], parameters: CaptionParameters) -> None:
        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        self._warpers = LogitsProcessorList()
        if parameters.temperature != 1.0:
            self._warpers.append(TemperatureLogitsWarper(parameters.temperature))
        if parameters.top_k:
            self._warpers.append(TopKLogitsWarper(parameters.top_k))
        if parameters.top_p < 1.0:
            self._warpers.append(TopPLogitsWarper(parameters.top_p))

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores (rows, tokens) after temperature and cuts, with noise added, as float32."""
        warped = self._warpers(input_ids, scores.float())
        drawn = [torch.empty(scores.shape[-1]).exponential_(generator=own) for own in self._generators]
        noise = -torch.stack(drawn).clamp_min(torch.finfo(torch.float32).tiny).log()
        return warped + noise.to(scores.device)


class Captioner(LoadedModel):
    """A model that describes pictures."""

    def __init__(self, entry: ModelEntry, model: Any, processor: Any) -> None:
        super().__init__(entry)
        self._model = model
        self._processor = processor
        self._prepare()

    def _prepare(self) -> None:
        self._parameters = CaptionParameters.model_validate(self.entry.parameters)
        if self._parameters.style == "task" and not hasattr(self._processor, "post_process_generation"):
            what = f"style is task, but {type(self._processor).__name__} has no task tokens"
            raise weights.problem(self.entry, what, "Correct parameters: style chat or bare.")
        if self._parameters.style == "chat" and not _has_chat_template(self._processor):
            what = "style is chat, but the files have no chat template"
            raise weights.problem(self.entry, what, "Correct parameters: style bare or task.")

    def _invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        pictures = [Image.fromarray(np.ascontiguousarray(item)) for item in inputs]
        with torch.inference_mode():
            asked = self._ask(pictures).to(self._model.device, dtype=self._model.dtype)
            written = self._model.generate(**asked, **self._generation(seeds))
        return [Output(text) for text in self._read(written, asked, pictures)]

    def _generation(self, seeds: Sequence[int]) -> dict[str, Any]:
        parameters = self._parameters
        arguments: dict[str, Any] = {
            "max_new_tokens": parameters.max_new_tokens,
            "min_new_tokens": parameters.min_new_tokens,
            "num_beams": parameters.num_beams,
            "do_sample": False,
        }
        optional = {
            "repetition_penalty": parameters.repetition_penalty,
            "no_repeat_ngram_size": parameters.no_repeat_ngram_size,
        }
        arguments |= {name: value for name, value in optional.items() if value is not None}
        if parameters.do_sample:
            arguments["logits_processor"] = LogitsProcessorList([SeededSampling(seeds, parameters)])
        return arguments

    def _ask(self, pictures: list[Image.Image]) -> Any:
        if self._parameters.style == "bare":
            return self._processor(images=pictures, return_tensors="pt")
        if self._parameters.style == "task":
            tasks = [self._parameters.task] * len(pictures)
            return self._processor(text=tasks, images=pictures, padding=True, return_tensors="pt")
        question = {"type": "text", "text": self._parameters.instruction}
        chats = [[{"role": "user", "content": [{"type": "image", "image": picture}, question]}] for picture in pictures]
        return self._processor.apply_chat_template(
            chats,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
            # Right padding would put pads between the question and the answer of the shorter rows.
            processor_kwargs={"padding": True, "padding_side": "left", "return_tensors": "pt"},
        )

    def _read(self, written: torch.Tensor, asked: Any, pictures: list[Image.Image]) -> list[str]:
        if self._parameters.style == "task":
            texts = self._processor.batch_decode(written, skip_special_tokens=False)
            return [self._answer(text, picture) for text, picture in zip(texts, pictures, strict=True)]
        if self._parameters.style == "chat":
            written = written[:, asked["input_ids"].shape[1] :]
        return [without_thoughts(text) for text in self._processor.batch_decode(written, skip_special_tokens=True)]

    def _answer(self, text: str, picture: Image.Image) -> str:
        # The post-processor leaves padding in captions, of which there is more when companions write longer ones.
        text = text.replace(self._processor.tokenizer.pad_token, "")
        task = self._parameters.task
        parsed = self._processor.post_process_generation(text, task=task, image_size=picture.size)
        return str(parsed[task]).strip()


def without_thoughts(text: str) -> str:
    """A model's answer without what it thought aloud before it."""
    return text.rpartition("</think>")[2].strip()


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Load a captioner with its processor.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    place = weights.choose_device(device)
    folder = weights.locate(entry)
    with weights.loading(entry):
        dtype = weights.choose_dtype(entry, place)
        model = weights.load_whole(entry, AutoModelForImageTextToText, folder, dtype=dtype, trust_remote_code=False)
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if CaptionLoad.model_validate(entry.load).pad_with_eos:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        return Captioner(entry, model.eval().to(place), processor)


def _has_chat_template(processor: Any) -> bool:
    holders = (processor, getattr(processor, "tokenizer", None))
    return any(getattr(holder, "chat_template", None) for holder in holders)
