"""Image to text through transformers: every model of ``AutoModelForImageTextToText``.

Here belong the ways of asking for a caption. How a text is decoded is ``writing``'s business; which models there
are and what they are asked is registry data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from panic_assets.models.adapters import speed, weights
from panic_assets.models.adapters.common import LoadedModel, without_thoughts
from panic_assets.models.adapters.writing import generation_arguments, has_chat_template
from panic_assets.models.base import Device, Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.parameters import CaptionParameters, WritingLoad


class Captioner(LoadedModel):
    """A model that describes pictures."""

    def __init__(self, entry: ModelEntry, model: Any, processor: Any) -> None:
        super().__init__(entry)
        self._model = model
        self._processor = processor
        self._tokenizer = getattr(processor, "tokenizer", None)
        self._prepare()

    def _prepare(self) -> None:
        self._parameters = CaptionParameters.model_validate(self.entry.parameters)
        if self._parameters.style == "task" and not hasattr(self._processor, "post_process_generation"):
            what = f"style is task, but {type(self._processor).__name__} has no task tokens"
            raise weights.problem(self.entry, what, "Correct parameters: style chat or bare.")
        if self._parameters.style == "chat" and not has_chat_template(self._processor, self._tokenizer):
            what = "style is chat, but the files have no chat template"
            raise weights.problem(self.entry, what, "Correct parameters: style bare or task.")

    def _invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        pictures = [Image.fromarray(np.ascontiguousarray(item)) for item in inputs]
        with torch.inference_mode():
            asked = self._ask(pictures).to(self._model.device, dtype=self._model.dtype)
            written = self._model.generate(**asked, **generation_arguments(self._parameters, seeds))
        return [Output(text) for text in self._read(written, asked, pictures)]

    def _ask(self, pictures: list[Image.Image]) -> Any:
        if self._parameters.style == "bare":
            return self._processor(images=pictures, return_tensors="pt")
        if self._parameters.style == "task":
            tasks = [self._parameters.task] * len(pictures)
            return self._processor(text=tasks, images=pictures, padding=True, return_tensors="pt")
        if self._parameters.style == "text":
            texts = [self._parameters.instruction] * len(pictures)
            return self._processor(text=texts, images=pictures, return_tensors="pt")
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
        if self._parameters.style == "chat" or _repeats(written, asked):
            written = written[:, asked["input_ids"].shape[1] :]
        return [without_thoughts(text) for text in self._processor.batch_decode(written, skip_special_tokens=True)]

    def _answer(self, text: str, picture: Image.Image) -> str:
        # The post-processor leaves padding in captions, of which there is more when companions write longer ones.
        text = text.replace(self._processor.tokenizer.pad_token, "")
        task = self._parameters.task
        parsed = self._processor.post_process_generation(text, task=task, image_size=picture.size)
        return str(parsed[task]).strip()


def _repeats(written: torch.Tensor, asked: Any) -> bool:
    """Whether the tokens of the question stand before those of the answer, as a decoder gives them back."""
    question = asked.get("input_ids")
    return question is not None and torch.equal(written[:, : question.shape[1]], question)


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Load a captioner with its processor.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    place = weights.choose_device(device)
    folder = weights.locate(entry)
    with weights.loading(entry):
        dtype = weights.choose_dtype(entry, place)
        options = WritingLoad.model_validate(entry.load)
        faster = speed.writing_arguments(entry, options, dtype)
        model = weights.load_whole(
            entry, AutoModelForImageTextToText, folder, dtype=dtype, trust_remote_code=False, **faster
        )
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if options.pad_with_eos:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        return Captioner(entry, model.eval().to(place), processor)
