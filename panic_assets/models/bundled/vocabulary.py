"""Tokenizers of the bundled models.

Two of them: a word-level tokenizer for the captioner, which only ever says words of the world, and a byte-level CLIP
tokenizer for what reads prompts, in which every word of the world is one token and any other word falls to bytes.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from panic_assets.models.bundled.world import WORDS

if TYPE_CHECKING:
    from transformers import CLIPTokenizer, PreTrainedTokenizerFast

PROMPT_TOKENS = 24
PAD, BOS, EOS, UNKNOWN = 0, 1, 2, 3


def caption_tokenizer() -> PreTrainedTokenizerFast:
    """Word-level: ids 0-3 are padding, begin, end, unknown; then the words of the world."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", BOS), ("[EOS]", EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        unk_token="[UNK]",
        model_max_length=PROMPT_TOKENS,
    )


def prompt_tokenizer(folder: Path) -> CLIPTokenizer:
    """Byte-level CLIP tokenizer (624 pieces or so), written to ``folder`` and loaded from there."""
    from transformers import CLIPTokenizer

    pieces, merges = _merges_that_build(sorted(set(WORDS), key=lambda word: (len(word), word)))
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=PROMPT_TOKENS)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _merges_that_build(words: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Byte pieces plus the fewest merges, in rank order, that make each word a single piece."""
    alphabet = _byte_letters()
    pieces = alphabet + [letter + "</w>" for letter in alphabet]
    merges: list[tuple[str, str]] = []
    for word in words:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            known = [(merges.index(pair), i) for i, pair in enumerate(pairs) if pair in merges]
            at = min(known)[1] if known else len(parts) - 2
            if not known:
                merges.append(pairs[at])
                if "".join(pairs[at]) not in pieces:
                    pieces.append("".join(pairs[at]))
            parts[at : at + 2] = ["".join(pairs[at])]
    return pieces, merges


def _byte_letters() -> list[str]:
    """One printable letter for each of the 256 bytes: the convention of byte-level BPE."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + len(letters) - len(printable))
    return list(letters.values())
