"""Text to text through transformers: every model of ``AutoModelForCausalLM`` that has a chat template.

Here belongs how a text is put to a chat model. How it writes is ``writing``'s business; which models there are and what
they are asked is registry data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from panic_assets.models.adapters import speed, weights
from panic_assets.models.adapters.common import LoadedModel, without_thoughts
from panic_assets.models.adapters.writing import generation_arguments, has_chat_template
from panic_assets.models.base import Device, Flag, Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.parameters import ChatParameters, WritingLoad

_JOINTS = 16  # tokens of room: a text beside its instruction can fall into a few more pieces than alone


class ChatModel(LoadedModel):
    """A model that answers texts.

    Every conversation is padded on the left to one length, that of the instruction with the longest text that is read.
    Padded to the longest of a batch, the shapes of a call, and with them its bits, would depend on companions.
    """

    def __init__(self, entry: ModelEntry, model: Any, tokenizer: Any) -> None:
        super().__init__(entry)
        self._model = model
        self._tokenizer = tokenizer
        self._prepare()

    def _prepare(self) -> None:
        self._parameters = ChatParameters.model_validate(self.entry.parameters)
        self._limit = int(self.entry.max_text_tokens or 0)  # an entry without it is refused
        frame = len(self._tokenizer(self._conversation(""), add_special_tokens=False)["input_ids"])
        self._length = frame + self._limit + _JOINTS
        needed = self._length + self._parameters.max_new_tokens
        reach = getattr(self._model.config, "max_position_embeddings", None)
        if reach is not None and needed > reach:
            what = f"{frame} tokens of instruction, max_text_tokens and max_new_tokens make {needed}; it reads {reach}"
            raise weights.problem(self.entry, what, f"Lower max_text_tokens by {needed - reach}, or max_new_tokens.")

    def _invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        texts = [str(text) for text in inputs]
        cut = weights.cut_off(self._tokenizer, texts, self._limit, special_tokens=False)
        read = [self._beginning(text) if was_cut else text for text, was_cut in zip(texts, cut, strict=True)]
        conversations = [self._conversation(text) for text in read]
        asked = self._tokenizer(
            conversations,
            add_special_tokens=False,  # the template has written them
            padding="max_length",
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        ).to(self._model.device)
        with torch.inference_mode():
            written = self._model.generate(
                input_ids=asked["input_ids"],
                attention_mask=asked["attention_mask"],
                pad_token_id=self._tokenizer.pad_token_id,
                **generation_arguments(self._parameters, seeds),
            )
        answers = self._tokenizer.batch_decode(written[:, self._length :], skip_special_tokens=True)
        # Some templates open the thoughts themselves; then the answer of a model that is cut off says nothing of them.
        opened = ["<think>" if text.rstrip().endswith("<think>") else "" for text in conversations]
        answers = [without_thoughts(start + answer) for start, answer in zip(opened, answers, strict=True)]
        marks: list[frozenset[Flag]] = [frozenset({"truncated_input"}) if was_cut else frozenset() for was_cut in cut]
        return [Output(answer, flags) for answer, flags in zip(answers, marks, strict=True)]

    def _conversation(self, text: str) -> str:
        """All that the model reads before it answers, as its chat template writes it."""
        told = [] if self._parameters.system is None else [{"role": "system", "content": self._parameters.system}]
        question = {"role": "user", "content": self._parameters.instruction.replace("{text}", text)}
        written = self._tokenizer.apply_chat_template(
            [*told, question],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=self._parameters.thinking,  # templates ignore what they do not know
        )
        return str(written)

    def _beginning(self, text: str) -> str:
        """As much of a text as is read; a letter of which only some bytes are left goes too."""
        tokens = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"][: self._limit]
        return str(self._tokenizer.decode(tokens)).rstrip("\N{REPLACEMENT CHARACTER}")


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Load a chat model with its tokenizer.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    place = weights.choose_device(device)
    folder = weights.locate(entry)
    with weights.loading(entry):
        dtype = weights.choose_dtype(entry, place)
        options = WritingLoad.model_validate(entry.load)
        faster = speed.writing_arguments(entry, options, dtype)
        model = weights.load_whole(entry, AutoModelForCausalLM, folder, dtype=dtype, trust_remote_code=False, **faster)
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, padding_side="left", truncation_side="left"
        )
        if options.pad_with_eos:
            tokenizer.pad_token = tokenizer.eos_token
        if not has_chat_template(tokenizer):
            raise weights.problem(entry, "the files have no chat template", "Choose a model tuned for instructions.")
        if tokenizer.pad_token is None:
            raise weights.problem(entry, "its tokenizer has no padding token", "Set load: {pad_with_eos: true}.")
        return ChatModel(entry, model.eval().to(place), tokenizer)
