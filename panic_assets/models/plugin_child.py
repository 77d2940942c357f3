"""The other side of ``plugins``: a process that loads one model with its own code and answers calls.

Here belongs what runs beside foreign code. It is a script for any interpreter, from Python 3.10, that has torch and
transformers: it imports nothing of this package, because it may run where that is not installed. Messages are JSON
and raw bytes, never pickles, so that nothing that foreign code sends can run in the parent.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

_SHORTEST = 16


class Server:
    """One model and the calls into it."""

    def __init__(self) -> None:
        self.model: Any = None
        self.tokenizer: Any = None
        self.image_processor: Any = None
        self.asked: dict[str, Any] = {}

    def load(self, asked: dict[str, Any], _: list[bytes]) -> dict[str, Any]:
        """Load the model of a folder. ``asked``: folder, recipe, media, dtype, device."""
        import torch
        import transformers

        self.asked = asked
        trusted = {"trust_remote_code": True, "local_files_only": True}
        name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
        model, info = getattr(transformers, asked["recipe"]["auto"]).from_pretrained(
            asked["folder"],
            use_safetensors=True,
            output_loading_info=True,
            **{name: getattr(torch, asked["dtype"])},
            **trusted,
        )
        lost = sorted(str(name) for name in info["missing_keys"] if not str(name).startswith("pooler."))
        if lost:
            raise ValueError(f"the files lack {len(lost)} parameters: {', '.join(lost[:3])}")
        self.model = model.eval().to(asked["device"])
        ways = {medium: asked["recipe"]["ways"][medium] for medium in asked["media"]}
        if "text" in ways and ways["text"]["how"] != "method":
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(asked["folder"], **trusted)
        if "image" in ways and ways["image"]["how"] != "method":
            self.image_processor = transformers.AutoImageProcessor.from_pretrained(asked["folder"], **trusted)
        return {"class": type(model).__name__, "transformers": transformers.__version__}

    def write(self, asked: dict[str, Any], pictures: list[bytes]) -> dict[str, Any]:
        """Texts for texts or pictures, each with its seed."""
        import torch

        texts = []
        for item, seed in zip(_items(asked, pictures), asked["seeds"], strict=True):
            torch.manual_seed(seed)  # foreign code draws from the one random state there is
            texts.append(str(self._by_method([item], asked)[0]))
        return {"texts": texts}

    def embed(self, asked: dict[str, Any], pictures: list[bytes]) -> dict[str, Any]:
        """Vectors for texts or pictures, computed ``batch`` at a time, each independent of its companions."""
        import numpy

        items = _items(asked, pictures)
        way = self.asked["recipe"]["ways"][asked["medium"]]
        if way["how"] == "method":
            vectors = _fixed(items, asked["batch"], lambda some: self._by_method(some, asked))
        elif asked["medium"] == "image":
            vectors = _fixed(items, asked["batch"], self._pictures)
        else:
            vectors = self._texts(items, asked)
        array = numpy.ascontiguousarray(numpy.stack(vectors), dtype="<f4")
        return {"shape": list(array.shape), "buffers": [array.tobytes()]}

    def truncated(self, asked: dict[str, Any], _: list[bytes]) -> dict[str, Any]:
        """For each text whether it is cut; a method of the model's own does not tell."""
        if self.tokenizer is None:
            return {"cut": [False] * len(asked["items"])}
        limit = self._limit(asked)
        return {"cut": [len(row) > limit for row in self.tokenizer(asked["items"], truncation=False)["input_ids"]]}

    def _by_method(self, items: list[Any], asked: dict[str, Any]) -> list[Any]:
        import torch

        way = self.asked["recipe"]["ways"][asked["medium"]]
        method = getattr(self.model, way["name"])
        with torch.no_grad():
            given = [items] if way["together"] else items
            results = [method(item, **asked["arguments"]) for item in given]
        if way["key"]:
            results = [result[way["key"]] for result in results]
        if self.asked["recipe"]["kind"] == "generator":
            return results
        flat = [_array(result) for result in results]
        return [row for rows in flat for row in rows] if way["together"] else [row.reshape(-1) for row in flat]

    def _pictures(self, pictures: list[Any]) -> list[Any]:
        import torch

        inputs = self.image_processor(images=pictures, return_tensors="pt")
        values = inputs["pixel_values"].to(self.asked["device"], self.model.dtype)
        with torch.no_grad():
            hidden = self.model(pixel_values=values).last_hidden_state
        return list(_array(hidden[:, 0]))

    def _texts(self, texts: list[str], asked: dict[str, Any]) -> list[Any]:
        limit = self._limit(asked)
        rows = self.tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
        lengths = [min(limit, max(_SHORTEST, 1 << (len(row) - 1).bit_length())) for row in rows]
        vectors: list[Any] = [None] * len(texts)
        for length in sorted(set(lengths)):
            places = [place for place, own in enumerate(lengths) if own == length]
            found = _fixed([texts[place] for place in places], asked["batch"], self._reader(asked["medium"], length))
            for place, vector in zip(places, found, strict=True):
                vectors[place] = vector
        return vectors

    def _reader(self, medium: str, length: int) -> Callable[[list[Any]], list[Any]]:
        import torch

        how = self.asked["recipe"]["ways"][medium]["how"]

        def read(texts: list[Any]) -> list[Any]:
            tokens = self.tokenizer(
                texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
            ).to(self.asked["device"])
            with torch.no_grad():
                hidden = self.model(**tokens).last_hidden_state.float()
            if how == "first_token":
                return list(_array(hidden[:, 0]))
            mask = tokens["attention_mask"].unsqueeze(-1).float()
            return list(_array((hidden * mask).sum(1) / mask.sum(1)))

        return read

    def _limit(self, asked: dict[str, Any]) -> int:
        return int(min(self.tokenizer.model_max_length, asked["limit"] or 2**31))


def _items(asked: dict[str, Any], pictures: list[bytes]) -> list[Any]:
    """Texts as they are, pictures as objects of PIL."""
    if asked["medium"] == "text":
        return list(asked["items"])
    from PIL import Image

    shapes = zip(asked["items"], pictures, strict=True)
    return [Image.frombytes("RGB", (width, height), pixels) for (height, width), pixels in shapes]


def _fixed(items: list[Any], size: int, compute: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """Results for all items, computed ``size`` at a time; the last lot is filled up."""
    results: list[Any] = []
    for start in range(0, len(items), size):
        lot = items[start : start + size]
        results += compute(lot + lot[:1] * (size - len(lot)))[: len(lot)]
    return results


def _array(value: Any) -> Any:
    import numpy
    import torch

    return value.detach().to("cpu", torch.float32).numpy() if isinstance(value, torch.Tensor) else numpy.asarray(value)


def serve(connection: Connection) -> None:
    """Answer requests until the parent closes the connection."""
    server = Server()
    ways = {"load": server.load, "write": server.write, "embed": server.embed, "truncated": server.truncated}
    while True:
        try:
            asked = json.loads(connection.recv_bytes())
            buffers = [connection.recv_bytes() for _ in range(asked["buffers"])]
        except (EOFError, OSError):
            return
        try:
            answer = {"ok": True, **ways[asked["do"]](asked, buffers)}
        except Exception as error:
            answer = {"ok": False, "kind": type(error).__name__, "message": str(error)[:2000]}
        raw = answer.pop("buffers", [])
        connection.send_bytes(json.dumps({**answer, "buffers": len(raw)}).encode())
        for buffer in raw:
            connection.send_bytes(buffer)


if __name__ == "__main__":
    stage, descriptor = sys.argv[1], int(sys.argv[2])
    os.set_inheritable(descriptor, False)  # what foreign code starts must not hold the connection
    sys.path.pop(0)  # the folder of this script, whose modules must not stand in for others of their names
    serve(Connection(descriptor))
    # The parent may have ended in a way that left no time to clean up.
    if os.path.basename(stage).startswith("panic-plugin-"):
        shutil.rmtree(stage, ignore_errors=True)
