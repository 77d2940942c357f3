"""Recipe of the bundled joint embedder: a small CLIP (transformers) of pictures and captions.

Its image half starts from the captioner's, which has the same shape. Each caption is also set against its *swapped*
form (the two things exchanged): without such hard negatives a CLIP hardly notices who is left and who is right.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, normalize
from transformers import BlipForConditionalGeneration, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

from panic_assets.models.bundled import prompts
from panic_assets.models.bundled.captioner import WIDTH, vision_config
from panic_assets.models.bundled.corpus import Corpus
from panic_assets.models.bundled.training import Schedule, train
from panic_assets.models.bundled.vocabulary import PROMPT_TOKENS
from panic_assets.models.bundled.world import SIDE

DIMENSION = 64


def fit(
    corpus: Corpus,
    held: Corpus,
    tokenizer: CLIPTokenizer,
    captioner: BlipForConditionalGeneration,
    schedule: Schedule,
    seed: int,
    work: Path,
    batch: int = 128,
) -> CLIPModel:
    """Train on pictures, prompts in either order of telling, and swapped captions as negatives."""
    torch.manual_seed(seed)
    ids = dict(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    text = dict(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=PROMPT_TOKENS,
        hidden_act="gelu",
        **ids,
    )
    vision = vision_config() | {"hidden_act": "gelu"}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIMENSION))
    _start_from(model, captioner)
    rng = random.Random(seed)
    told = prompts.encode(tokenizer, [prompts.say(scene, rng) for scene in corpus.scenes])
    swapped = prompts.encode(tokenizer, [scene.swapped().caption for scene in corpus.scenes])
    telling = prompts.encode(tokenizer, [scene.caption for scene in corpus.scenes])

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        index = torch.randint(len(corpus), (batch,), generator=generator)
        pictures = corpus.images(index).contiguous()
        noise = torch.rand((batch, 1, 1, 1), generator=generator) * 0.16 - 0.08
        pictures = pictures + noise.clamp(min=0) * torch.randn(pictures.shape, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            seen = image_vectors(model, pictures)
            said = text_vectors(model, torch.cat([told[index], swapped[index]]))
        similarity = model.logit_scale.exp().clamp(max=100) * seen @ said.T
        # Equal captions in a batch, and swaps that change nothing, are no negatives.
        texts = torch.cat([telling[index], swapped[index]])
        same = (telling[index][:, None] == texts[None]).all(-1)
        same[:, :batch].fill_diagonal_(False)
        similarity = similarity.masked_fill(same, -1e4)
        own = torch.arange(batch)
        return (cross_entropy(similarity, own) + cross_entropy(similarity[:, :batch].T, own)) / 2

    def report() -> dict[str, float]:
        return evaluate(model, tokenizer, held)

    train("contrast", model, loss_of, schedule, seed, work, average=0.998, weight_decay=0.05, report=report)
    return model.eval()


def image_vectors(model: CLIPModel, pictures: torch.Tensor) -> torch.Tensor:
    """Unit vectors float32 (n, 64) of pictures in [-1, 1]."""
    return normalize(model.visual_projection(model.vision_model(pixel_values=pictures).pooler_output).float(), dim=-1)


def text_vectors(model: CLIPModel, ids: torch.Tensor) -> torch.Tensor:
    """Unit vectors float32 (n, 64) of token ids."""
    return normalize(model.text_projection(model.text_model(input_ids=ids).pooler_output).float(), dim=-1)


@torch.no_grad()
def evaluate(model: CLIPModel, tokenizer: CLIPTokenizer, held: Corpus, count: int = 256) -> dict[str, float]:
    """Retrieval@1 both ways over ``count`` distinct held-out captions; how often a caption beats its swapped form."""
    first_of = {scene: i for i, scene in reversed(list(enumerate(held.scenes)))}
    index = torch.tensor(sorted(first_of.values())[:count])
    scenes = [held.scenes[i] for i in index.tolist()]
    seen = image_vectors(model, held.images(index).contiguous())
    said = text_vectors(model, prompts.encode(tokenizer, [s.caption for s in scenes]))
    other = text_vectors(model, prompts.encode(tokenizer, [s.swapped().caption for s in scenes]))
    similarity, own = seen @ said.T, torch.arange(len(scenes))
    differs = torch.tensor([s.swapped() != s for s in scenes])
    right_order = (seen * said).sum(1) > (seen * other).sum(1)
    return {
        "image_to_text": (similarity.argmax(1) == own).float().mean().item(),
        "text_to_image": (similarity.argmax(0) == own).float().mean().item(),
        "order_told_apart": right_order[differs].float().mean().item(),
    }


def save(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the checkpoint with tokenizer and image processor, weights in float16."""
    model.half().save_pretrained(folder)
    model.float()
    tokenizer.save_pretrained(folder)
    side = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(folder)


def _start_from(model: CLIPModel, captioner: BlipForConditionalGeneration) -> None:
    """Copy the captioner's vision transformer; BLIP keeps query, key and value in one matrix, CLIP in three."""
    source, target = captioner.vision_model.state_dict(), model.vision_model.state_dict()
    weights = {
        "embeddings.class_embedding": source["embeddings.class_embedding"].reshape(-1),
        "embeddings.patch_embedding.weight": source["embeddings.patch_embedding.weight"],
        "embeddings.position_embedding.weight": source["embeddings.position_embedding"][0],
    }
    for layer in range(4):
        at = f"encoder.layers.{layer}."
        for kind in ("weight", "bias"):
            parts = source[f"{at}self_attn.qkv.{kind}"].chunk(3)
            for name, part in zip(("q_proj", "k_proj", "v_proj"), parts, strict=True):
                weights[f"{at}self_attn.{name}.{kind}"] = part
            weights[f"{at}self_attn.out_proj.{kind}"] = source[f"{at}self_attn.projection.{kind}"]
            for name in ("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"):
                weights[f"{at}{name}.{kind}"] = source[f"{at}{name}.{kind}"]
    for kind in ("weight", "bias"):
        weights[f"post_layernorm.{kind}"] = source[f"post_layernorm.{kind}"]
    unknown = weights.keys() - target.keys()
    if unknown:
        raise KeyError(f"the captioner's vision weights {sorted(unknown)} have no place in CLIP's")
    model.vision_model.load_state_dict(target | weights)
