"""Recipe of the bundled text encoder: a small CLIP text model that knows what a prompt says before any picture.

A denoiser that must learn grammar and pictures at once stays a long time at a plateau where it paints the right things
in the wrong places. So the text encoder first learns to read: each token must tell the attributes of the thing it
belongs to, and the tokens from the end of the sentence on must tell the whole scene, in canonical order.
"""

from __future__ import annotations

import random
import string
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from panic_assets.models.bundled import world
from panic_assets.models.bundled.training import Schedule, train
from panic_assets.models.bundled.vocabulary import PROMPT_TOKENS

WIDTH = 96
_ATTRIBUTES = {"size": list(world.SIZES), "colour": list(world.COLOURS), "shape": list(world.SHAPES)}
_REVERSED_SHARE = 0.25


def say(scene: world.Scene, rng: random.Random) -> str:
    """A prompt for a scene: canonical, or in a quarter of cases told from the other object."""
    return scene.reversed_caption if rng.random() < _REVERSED_SHARE else scene.caption


def garble(prompt: str, rng: random.Random) -> str:
    """Replace one to four words by letters, so that words from outside the world do not throw the model."""
    words = prompt.split()
    for _ in range(rng.randint(1, 4)):
        words[rng.randrange(len(words))] = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 8)))
    return " ".join(words)


def encode(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """Token ids (n, 24), padded and cut."""
    return tokenizer(
        prompts, padding="max_length", max_length=PROMPT_TOKENS, truncation=True, return_tensors="pt"
    ).input_ids


def new_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained text model: two layers of width 96."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=PROMPT_TOKENS,
            projection_dim=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            hidden_act="gelu",
        )
    )


class _Reader(torch.nn.Module):
    """The text model with linear heads; only the text model is kept."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        thing = {
            f"{place} {name}": len(values) for place in ("first", "second") for name, values in _ATTRIBUTES.items()
        }
        sizes = thing | {"relation": len(world.RELATIONS) + 1, "background": len(world.BACKGROUNDS)}
        self.scene = torch.nn.ModuleDict({name: torch.nn.Linear(WIDTH, size) for name, size in sizes.items()})
        own = {name: len(values) for name, values in _ATTRIBUTES.items()} | {"place": 2}
        self.thing = torch.nn.ModuleDict({name: torch.nn.Linear(WIDTH, size) for name, size in own.items()})


def learn_to_read(
    tokenizer: CLIPTokenizer, scenes: list[world.Scene], schedule: Schedule, seed: int, work: Path, batch: int = 256
) -> CLIPTextModel:
    """Train a text model on scenes alone. Reports the share of prompts whose every attribute its end token tells."""
    torch.manual_seed(seed)
    reader = _Reader(new_encoder(tokenizer))
    shape_ids = torch.tensor(tokenizer.convert_tokens_to_ids([f"{shape}</w>" for shape in world.SHAPES]))
    end = tokenizer.eos_token_id

    def batch_of(rng: random.Random, size: int) -> tuple[torch.Tensor, list[world.Scene]]:
        chosen = [scenes[rng.randrange(len(scenes))] for _ in range(size)]
        return encode(tokenizer, [say(scene, rng) for scene in chosen]), chosen

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        rng = random.Random(int(torch.randint(2**40, (1,), generator=generator)))
        ids, chosen = batch_of(rng, batch)
        hidden = reader.encoder(ids).last_hidden_state
        labels = _scene_labels(chosen)
        after = (ids == end).cumsum(1) > 0  # the end token and the padding behind it see the whole sentence
        row = torch.arange(batch)[:, None].expand_as(after)[after]
        loss = torch.zeros(())
        for name, head in reader.scene.items():
            loss = loss + cross_entropy(head(hidden[after]), labels[name][row], ignore_index=-1)
        spoken = torch.isin(ids, shape_ids)  # the shape word ends the naming of a thing
        order = (spoken.cumsum(1) - 1)[spoken]
        row = torch.arange(batch)[:, None].expand_as(spoken)[spoken]
        backwards = _told_backwards(tokenizer, ids)[row]
        place = torch.where(backwards, 1 - order, order)
        for name, head in reader.thing.items():
            if name == "place":
                # A first-named thing cannot know yet whether it will turn out the lower one.
                known = order == 1
                loss = loss + cross_entropy(head(hidden[spoken][known]), place[known])
            else:
                both = torch.stack([labels[f"first {name}"], labels[f"second {name}"]], 1)
                loss = loss + cross_entropy(head(hidden[spoken]), both[row, place])
        return loss

    def report() -> dict[str, float]:
        ids, chosen = batch_of(random.Random(seed), 512)
        labels, last = _scene_labels(chosen), (ids == end).int().argmax(1)
        with torch.no_grad():
            hidden = reader.encoder(ids).last_hidden_state[torch.arange(512), last]
            right = [
                (head(hidden).argmax(1) == labels[name]) | (labels[name] < 0) for name, head in reader.scene.items()
            ]
        return {"all_attributes_read": torch.stack(right).all(0).float().mean().item()}

    train("prompts", reader, loss_of, schedule, seed, work, report=report)
    return reader.encoder.eval()


def _told_backwards(tokenizer: CLIPTokenizer, ids: torch.Tensor) -> torch.Tensor:
    reversing = torch.tensor(tokenizer.convert_tokens_to_ids(["below</w>", "right</w>"]))
    return torch.isin(ids, reversing).any(1)


def _scene_labels(scenes: list[world.Scene]) -> dict[str, torch.Tensor]:
    """Class numbers of each attribute; -1 where a scene has no second thing."""
    labels: dict[str, list[int]] = {}
    backgrounds = list(world.BACKGROUNDS)
    for scene in scenes:
        for number, place in enumerate(("first", "second")):
            thing = scene.things[number] if number < len(scene.things) else None
            for name, values in _ATTRIBUTES.items():
                labels.setdefault(f"{place} {name}", []).append(values.index(getattr(thing, name)) if thing else -1)
        labels.setdefault("relation", []).append(
            world.RELATIONS.index(scene.relation) if scene.relation else len(world.RELATIONS)
        )
        labels.setdefault("background", []).append(backgrounds.index(scene.background))
    return {name: torch.tensor(values) for name, values in labels.items()}
