"""Captioners and chat models behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, hosted platforms.

Here belongs how a picture or a text is put to such a server, and how its answer is read. HTTP, with all that can go
wrong on the way, is ``connection``'s business; which models there are and what they are asked is registry data.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from panic_assets.lake import images
from panic_assets.models.adapters.common import LoadedModel, without_thoughts
from panic_assets.models.adapters.connection import Connection
from panic_assets.models.base import Device, Output
from panic_assets.models.entry import ModelEntry, ServerSource
from panic_assets.models.parameters import ServedParameters


class ServedModel(LoadedModel):
    """A model that a server holds. A batch is as many requests at once; how they are computed is the server's affair.

    Servers put together whatever is asked at a moment, so that bits depend on companions: an entry says that outputs
    repeat only if its author knows that of the server. The run's seed goes along unless the model is ``deterministic``.
    An answer of ``max_new_tokens`` tokens is cut there without a flag, as with models of this process.
    """

    def __init__(self, entry: ModelEntry, connection: Connection) -> None:
        super().__init__(entry)
        self._connection = connection
        self._prepare()

    def _prepare(self) -> None:
        self._parameters = ServedParameters.model_validate(self.entry.parameters)

    def _invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        with ThreadPoolExecutor(self.batch, thread_name_prefix=self.entry.name) as askers:
            return list(askers.map(self._one, inputs, seeds))

    def _one(self, item: Any, seed: int) -> Output:
        return Output(without_thoughts(self._read(self._connection.chat(self._body(item, seed)))))

    def _body(self, item: Any, seed: int) -> dict[str, Any]:
        asked = self._parameters
        told = [] if asked.system is None else [{"role": "system", "content": asked.system}]
        body = {
            "messages": [*told, {"role": "user", "content": self._question(item)}],
            "max_tokens": asked.max_new_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "seed": None if self.entry.seed_behaviour == "deterministic" else seed,
        }
        return {name: value for name, value in (body | asked.extra_body).items() if value is not None}

    def _question(self, item: Any) -> str | list[dict[str, Any]]:
        if isinstance(item, str):
            return self._parameters.instruction.replace("{text}", item)
        picture = f"data:image/png;base64,{b64encode(images.encode(item, 'png')).decode('ascii')}"
        return [
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": self._parameters.instruction},
        ]

    def _read(self, answer: Any) -> str:
        """The text of an answer; what the server counts as thoughts is in fields of its own, which are not read.

        Raises:
            ModelCallError: the answer is not of the protocol's shape.
        """
        try:
            message = answer["choices"][0]["message"]
            content = message.get("content")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._connection.malformed(f"without choices[0].message: {str(answer)[:200]}") from None
        if isinstance(content, list):  # parts, as in a question
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        if not isinstance(content, str | None):
            raise self._connection.malformed(f"with a content that is no text: {str(content)[:200]}")
        return content or ""  # null: all its tokens went into thoughts, or it declined


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """Connect to the server of an entry; it computes where it computes, whatever the device.

    Raises:
        ModelLoadError: see :func:`panic_assets.models.adapters.load_model`.
    """
    assert isinstance(entry.source, ServerSource)  # an entry with another is refused
    connection = Connection(entry.name, entry.source)
    connection.check()
    return ServedModel(entry, connection)
