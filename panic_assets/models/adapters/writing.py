"""What all models that write share: how a text is decoded, and what is left out of it.

Here belong the arguments of ``generate`` and sampling that can be repeated. What a model is asked, and how its answer
is read, is the business of ``captioners`` and ``chat``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from panic_assets.models.parameters import WritingParameters


class SeededSampling(LogitsProcessor):
    """Sampling as an argmax: adds Gumbel noise to each row's scores, from that row's own CPU generator.

    The argmax of log-probabilities plus independent Gumbel noise is a sample of the distribution (E. J. Gumbel 1954;
    the Gumbel-max trick). With greedy decoding on top, a text depends on its input and seed alone, which the
    library's own sampling, with one random state for all rows, can't give.
    """

    def __init__(self, seeds: Sequence[int], parameters: WritingParameters) -> None:
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


def generation_arguments(parameters: WritingParameters, seeds: Sequence[int]) -> dict[str, Any]:
    """Keyword arguments of a transformers model's ``generate``, for as many rows as there are seeds."""
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


def has_chat_template(*holders: Any) -> bool:
    """Whether one of the holders, a processor or tokenizer, knows how to write a conversation."""
    return any(getattr(holder, "chat_template", None) for holder in holders)
