"""How fast the codec is: the entropy stage, a picture outside of the networks, whole files, the arena.

Run with ``python -m benchmarks.codec [--quick]``; the result goes to ``benchmarks/results/codec.md``. All on one core,
in processor time, the best of several: what a busy machine adds is left out as far as it can be. The rival of the
arena is memory that is filled with zeros for each picture, those of whole files are Pillow's AVIF and WebP.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import RESULTS, machine, markdown_table, measure, versions, write_results
from panic_assets.codec import api
from panic_assets.codec.components import Wavelet
from panic_assets.codec.core.arena import Arena
from panic_assets.codec.entropy import Coder
from panic_assets.codec.exporting import export_vae
from panic_assets.codec.lifting import bands, forward, inverse, useful_levels
from panic_assets.codec.probability import CLASSES, LARGEST_SYMBOL, TABLE_TOTAL
from panic_assets.codec.quantising import best_params, dequantise, in_order, in_place, quantise, slope_of
from panic_assets.codec.tables import Table, fitted, write_tables
from panic_assets.paths import project_dir

_SIDE, _TILE, _STEPS, _PASSES, _ARENA = 512, 64, (2, 8, 32), 12, 512 << 20
_Result = TypeVar("_Result")


def best(repeats: int, action: Callable[..., _Result], *arguments: Any) -> tuple[_Result, float]:
    """A result of ``action``, and the least processor seconds that it took."""
    least = float("inf")
    for _ in range(repeats):
        result, cost = measure(lambda: action(*arguments))
        least = min(least, cost.cpu_seconds)
    return result, least


def _laplace(scale: np.ndarray | float, count: int) -> np.ndarray:
    return np.rint(np.random.default_rng(0).laplace(0, 1, count) * scale).astype(np.int32)


def _of_a_model() -> list[Table]:
    """64 tables as wide as a learned model's, of rising spread."""
    symbols, tables = np.arange(-LARGEST_SYMBOL, LARGEST_SYMBOL + 1), []
    for number in range(CLASSES):
        weights = np.exp(-np.abs(symbols) / (0.2 * 1.1**number))
        row = np.floor(weights / weights.sum() * (TABLE_TOTAL - symbols.size)).astype(np.int64) + 1
        row[LARGEST_SYMBOL] += TABLE_TOTAL - row.sum()
        tables.append(Table(-LARGEST_SYMBOL, row))
    return tables


def entropy(count: int, repeats: int) -> str:
    """Symbols in a second through grouping, tables and coder, both ways."""
    mixed = np.random.default_rng(1).integers(0, CLASSES, count).astype(np.uint8)
    spread = 0.2 * 1.1 ** np.arange(CLASSES)
    cases: list[tuple[str, np.ndarray, np.ndarray | None, list[Table] | None]] = [
        (f"one class, spread {scale:g}", _laplace(scale, count), None, None) for scale in (0.3, 3.0, 30.0)
    ]
    for name, classes in (("class after class, as bands are", np.sort(mixed)), ("mixed at random", mixed)):
        cases.append((f"64 classes, {name}", _laplace(spread[classes], count), classes, None))
    held = _laplace(spread[mixed], count).clip(-LARGEST_SYMBOL, LARGEST_SYMBOL)
    cases.append(("64 classes, mixed, a model's tables", held, mixed, _of_a_model()))
    rows = []
    for name, symbols, classes, given in cases:
        own = [symbols] if classes is None else [symbols[classes == number] for number in range(CLASSES)]
        tables, fitting = best(repeats, _fitted, own)
        coder = Coder(given or tables)
        data, encoding = best(repeats, coder.encode, symbols, classes)
        again, decoding = best(repeats, coder.decode, data, count, classes)
        assert np.array_equal(again, symbols)
        rows.append(
            (
                name,
                8 * len(data) / count,
                count / encoding / 1e6,
                count / decoding / 1e6,
                "" if given else count / fitting / 1e6,
                "" if given else len(write_tables(tables)),
            )
        )
    head = (
        "symbols",
        "bits each",
        "encode, million/s",
        "decode, million/s",
        "fit tables, million/s",
        "bytes of tables",
    )
    return f"## Entropy stage\n\n{count:,} symbols at once.\n\n" + markdown_table(head, rows)


def _fitted(parts: Sequence[np.ndarray]) -> list[Table]:
    return [fitted(part) for part in parts]


def _photo() -> np.ndarray:
    """A photo that scikit-learn ships, int32 (3, 512, 512); what it lacks in height is its mirror image."""
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg")[:_SIDE, :_SIDE].astype(np.int32)
    return np.ascontiguousarray(
        np.pad(photo, ((0, _SIDE - len(photo)), (0, 0), (0, 0)), "symmetric").transpose(2, 0, 1)
    )


def picture(repeats: int, wavelet: Wavelet = "cdf53") -> str:
    """All stages of a picture without networks: transform, steps, symbols, tables, bytes, and back."""
    planes, levels = _photo(), useful_levels(_SIDE, _SIDE)
    parts = bands(3, _SIDE, _SIDE, levels)
    classes = np.repeat(np.arange(len(parts)), [band.height * band.width for band in parts]).astype(np.uint8)
    ends = np.searchsorted(classes, np.arange(1, len(parts)))
    coefficients, transform = best(repeats, forward, planes, levels, wavelet)
    rows = []
    for step in _STEPS:
        params, choice = best(repeats, best_params, coefficients, parts, slope_of(step))
        symbols, quantising = best(repeats, lambda p: in_order(quantise(coefficients, parts, p), parts), params)
        tables, fitting = best(repeats, _fitted, np.split(symbols, ends))
        coder = Coder(tables)
        data, encoding = best(repeats, coder.encode, symbols, classes)
        found, decoding = best(repeats, coder.decode, data, classes.size, classes)
        placed, placing = best(repeats, in_place, found, parts, planes.shape)
        back, scaling = best(repeats, dequantise, placed, parts, params, np.int32)
        made, inversion = best(repeats, inverse, back, levels, wavelet)
        encode = (transform, choice, quantising, fitting, encoding)
        decode = (decoding, placing + scaling, inversion)
        error = float(np.square((made - planes).astype(np.float64)).mean())
        bits = 8 * (len(data) + len(write_tables(tables))) / _SIDE**2
        milliseconds = [1000 * value for value in (*encode, sum(encode), *decode, sum(decode))]
        rows.append((step, bits, 10 * np.log10(255**2 / error), *milliseconds))
    head = (
        "step", "bits/pixel", "dB", "transform", "choose steps", "quantise", "fit tables", "code", "**encode**",
        "decode", "dequantise", "invert", "**decode all**",
    )  # fmt: skip
    return (
        f"## A picture of {_SIDE}x{_SIDE} in three colours\n\nAll of its {planes.size:,} values through every stage "
        f"but networks, CDF 5/3 over {levels} levels, a table for each of {len(parts)} bands; times in ms. The photo "
        "is china.jpg of scikit-learn, its colours as they are: what counts here is the time.\n\n"
        + markdown_table(head, rows)
    )


def latents(repeats: int) -> str:
    """What is left to code of the same picture where a network made four channels of latents of it."""
    count = 4 * (_SIDE // 8) ** 2
    classes = np.random.default_rng(2).integers(0, CLASSES, count).astype(np.uint8)
    symbols = _laplace((0.2 * 1.1 ** np.arange(CLASSES))[classes], count).clip(-LARGEST_SYMBOL, LARGEST_SYMBOL)
    coder, ends = Coder(_of_a_model()), [count >> more for more in range(_PASSES - 1, 0, -1)]
    passes = list(zip(np.split(classes, ends), np.split(symbols, ends), strict=True))

    def read(data: bytes) -> np.ndarray:
        reader = coder.reader(data)
        found = [reader.read(part) for part, _ in passes]
        reader.finish()
        return np.concatenate(found)

    data, encoding = best(repeats, coder.encode_parts, passes)
    again, decoding = best(repeats, read, data)
    assert np.array_equal(again, symbols)
    return (
        f"## Latents of a picture of {_SIDE}x{_SIDE}\n\n{count:,} symbols in {_PASSES} passes, each twice the one "
        "before, 64 classes mixed, tables as wide as a learned model's.\n\n"
        + markdown_table(("bytes", "encode ms", "decode ms"), [(len(data), 1000 * encoding, 1000 * decoding)])
    )


def files(repeats: int) -> str:
    """Whole files by the shipped model, networks included, against Pillow's encoders."""
    from PIL import Image

    photo = _photo().astype(np.uint8).transpose(1, 2, 0)
    tiles = [photo[top : top + _TILE, left : left + _TILE] for top in range(0, _SIDE, _TILE) for left in (0, 256)]
    rows: list[tuple[object, ...]] = []

    def add(name: str, pictures: Sequence[np.ndarray], encode: Callable[..., Any], decode: Callable[..., Any]) -> None:
        data, encoding = best(repeats, encode, pictures)
        _, decoding = best(repeats, decode, data)
        rows.append((name, sum(map(len, data)) / len(data), *(1000 * t / len(data) for t in (encoding, decoding))))

    def pillow(form: str, quality: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
        def encode(pictures: Sequence[np.ndarray]) -> list[bytes]:
            found = []
            for one in pictures:
                Image.fromarray(one).save(file := io.BytesIO(), form, quality=quality)
                found.append(file.getvalue())
            return found

        return encode, lambda data: [np.asarray(Image.open(io.BytesIO(one))) for one in data]

    for size, pictures in ((_SIDE, [photo]), (_TILE, tiles)):
        for quality in (1, 4, 8, 12):
            alone = partial(_each, partial(api.compress, quality=quality)), partial(_each, api.decompress)
            add(f"{size}, latent {quality}", pictures, *alone)
            if len(pictures) > 1:
                batch = partial(api.compress_batch, quality=quality), api.decompress_batch
                add(f"{size}, latent {quality}, as a batch", pictures, *batch)
        add(
            f"{size}, lossless",
            pictures,
            partial(_each, partial(api.compress, lossless=True)),
            partial(_each, api.decompress),
        )
        for form, qualities in (("AVIF", (30, 75)), ("WEBP", (30, 75))):
            for quality in qualities:
                add(f"{size}, {form} {quality}", pictures, *pillow(form, quality))
    return (
        f"## Whole files\n\nOf the photo, and of {len(tiles)} tiles of it; for each picture, the networks' time "
        "included, one thread. Pillow's encoders may use more: all of their processor time counts.\n\n"
        + markdown_table(("side, format and quality", "bytes", "encode ms", "decode ms"), rows)
    )


def outside(repeats: int) -> str:
    """What whole files cost beside the runs of ONNX networks, by the shipped model and by the bundled VAE."""
    photo = _photo().astype(np.uint8).transpose(1, 2, 0)
    rows: list[tuple[object, ...]] = []
    with TemporaryDirectory() as folder, _networks_timed() as spent:
        vae = export_vae(project_dir() / "data" / "models" / "tiny-scenes", Path(folder) / "vae").folder
        for name, model, qualities in (("VAE", vae, (1, 4, 8)), ("latent", api.DEFAULT_MODEL, (1, 4, 8))):
            for quality in qualities:
                encode = partial(api.compress, photo, model, quality)
                data, *encoding = _parted(repeats, encode, spent)
                _, *decoding = _parted(repeats, partial(api.decompress, data, model), spent)
                rows.append((f"{name} {quality}", len(data), *(1000 * t for t in (*encoding, *decoding))))
    head = ("file", "bytes", "encode ms", "networks", "**outside**", "decode ms", "networks", "**outside**")
    return (
        f"## Outside of the networks\n\nWhole files of the photo, {_SIDE}x{_SIDE}x3, and how much of their time runs "
        "of ONNX networks take. Integer networks, which find the probabilities of the learned model, count as outside; "
        "from quality 5 on so does the residual of all pixels.\n\n" + markdown_table(head, rows)
    )


@contextmanager
def _networks_timed() -> Iterator[list[float]]:
    """Adds the processor time of each run of a network to what is given."""
    import onnxruntime

    original, spent = onnxruntime.InferenceSession.run, [0.0]

    def timed(*arguments: Any, **named: Any) -> Any:
        start = process_time()
        try:
            return original(*arguments, **named)
        finally:
            spent[0] += process_time() - start

    onnxruntime.InferenceSession.run = timed
    try:
        yield spent
    finally:
        onnxruntime.InferenceSession.run = original


def _parted(repeats: int, action: Callable[[], _Result], spent: list[float]) -> tuple[_Result, float, float, float]:
    """A result, and of the run with least time outside: all of its time, that in networks, that outside."""
    found = []
    for _ in range(repeats):
        spent[0] = 0.0
        result, cost = measure(action)
        found.append((cost.cpu_seconds - spent[0], cost.cpu_seconds, spent[0]))
    own, whole, inside = min(found)
    return result, whole, inside, own


def _each(make: Callable[[Any], Any], given: Sequence[Any]) -> list[Any]:
    return [make(one) for one in given]


def arena(repeats: int) -> str:
    """An arena for a picture against zeroed memory for it."""
    pixels = _photo().astype(np.uint8)

    def lazily() -> None:
        Arena(_ARENA).put(pixels)

    def again(kept: Arena) -> None:
        kept.reset()
        kept.put(pixels)

    def naively() -> None:
        memory = bytearray(_ARENA)
        np.frombuffer(memory, np.uint8, pixels.size)[...] = pixels.ravel()

    rows = [
        ("a new arena of 512 MiB", 1000 * best(repeats, lazily)[1]),
        ("one arena, reset", 1000 * best(repeats, again, Arena(_ARENA))[1]),
        ("512 MiB of zeros", 1000 * best(2, naively)[1]),
    ]
    return f"## Arena\n\nFor each picture of {_SIDE}x{_SIDE}, its copy into the arena included.\n\n" + markdown_table(
        ("way", "ms"), rows
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small sample, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "codec.md")
    options = parser.parse_args(argv)
    repeats = 2 if options.quick else 25
    with threadpool_limits(1):  # threads of BLAS that wait count as processor time
        sections = [entropy(1 << (16 if options.quick else 20), repeats), picture(repeats)]
        sections += [latents(repeats), outside(min(repeats, 9)), files(min(repeats, 5)), arena(repeats)]
    head = f"{machine()}; {versions('numpy', 'constriction')}. Processor time on one core."
    write_results(options.output, "Codec", [head, *sections])
    print(options.output.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
