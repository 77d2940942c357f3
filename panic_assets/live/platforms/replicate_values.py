"""What goes into a prediction of Replicate, and what is read out of a finished one.

Here belong the shapes that models there have; asking, waiting and cancelling belong to ``replicate``.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from panic_assets.live.media import data_uri
from panic_assets.live.platforms.base import Call, LiveModel, PlatformError
from panic_assets.live.platforms.exchange import given_bytes, given_text, media_value, text_value
from panic_assets.live.platforms.settings import ReplicateSettings
from panic_assets.live.values import Value

#: Where models put what they give, if their output is a mapping.
_OUTPUT_KEYS = ("text", "wav", "audio", "transcription")
_INPUT_KEYS = {"text": "prompt", "image": "image", "audio": "audio"}
#: Larger data is refused in a body; the address that a platform gave before is sent then, if there is one.
_LARGEST_DATA = 1_000_000
_LONGEST_REPAIR = 20_000


def target(call: Call, asked: ReplicateSettings) -> tuple[str, dict[str, Any]]:
    """The path of the model to call, and its input."""
    model, value = call.model, call.input
    if model.takes != "text":
        return model.path, {**asked.input, asked.input_key or _INPUT_KEYS[model.takes]: _media(model, value)}
    text = given_text(model, value)
    if asked.edit is not None and text.startswith(("http://", "https://")):
        return asked.edit.path, {**asked.edit.input, asked.edit.input_key: text}
    text = asked.template.replace("{text}", text) if asked.template else text
    return model.path, {**asked.input, asked.input_key or _INPUT_KEYS["text"]: text}


def output_value(model: LiveModel, asked: ReplicateSettings, output: Any) -> Value:
    """The value in a finished prediction's ``output``: a text, a list, an address, or a mapping that has one of them.

    Raises:
        PlatformError: of kind invalid: it is of another shape, or blank.
    """
    if isinstance(output, Mapping):
        keys = (asked.output_key,) if asked.output_key else _OUTPUT_KEYS
        found = [output[key] for key in keys if output.get(key) is not None]
        if not found:
            raise PlatformError("invalid", f"{model.id} gave none of {', '.join(keys)} but {sorted(output)}")
        output = found[0]
    if model.gives != "text":
        return media_value(model, model.gives, output[0] if isinstance(output, list) and output else output)
    if isinstance(output, list) and all(isinstance(part, str) for part in output):
        output = "".join(output)
    if asked.repair_key is not None and isinstance(output, str):
        output = _picked(model, output, asked.repair_key)
    return text_value(model, output)


def _picked(model: LiveModel, text: str, key: str) -> Any:
    """One value of a mapping written as JSON, or as Python would, with single quotes; <KEY> is taken for KEY."""
    for read in (json.loads, ast.literal_eval):
        try:
            content = read(text[:_LONGEST_REPAIR])
            return {str(name).strip("<>"): value for name, value in content.items()}[key]
        except (ValueError, SyntaxError, KeyError, TypeError, AttributeError, MemoryError, RecursionError):
            continue
    raise PlatformError("invalid", f"{model.id} gave no mapping with {key} but {text}")


def _media(model: LiveModel, value: Value) -> str:
    if value.url is not None and (value.data is None or len(value.data) > _LARGEST_DATA):
        return value.url
    return data_uri(*given_bytes(model, value))
