"""Recipe of the bundled captioner: a small BLIP (transformers) that says the canonical caption of a picture."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from panic_assets.models.bundled import vocabulary
from panic_assets.models.bundled.corpus import Corpus
from panic_assets.models.bundled.training import Schedule, train
from panic_assets.models.bundled.world import RELATIONS, SIDE

WIDTH = 96
_CAPTION_TOKENS = 20
# The relation is one word in fourteen; without a term of its own it stays at chance for a long time.
_RELATION_WEIGHT = 0.3


def fit(
    corpus: Corpus, held: Corpus, schedule: Schedule, seed: int, work: Path, batch: int = 64
) -> BlipForConditionalGeneration:
    """Train on canonical captions. Half of the pictures get pixel noise, a stand-in for what a sampler leaves."""
    torch.manual_seed(seed)
    tokenizer = vocabulary.caption_tokenizer()
    ids = dict(
        pad_token_id=vocabulary.PAD,
        bos_token_id=vocabulary.BOS,
        eos_token_id=vocabulary.EOS,
        sep_token_id=vocabulary.EOS,  # BLIP's generation stops at the separator
    )
    config = BlipConfig(
        text_config=dict(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            encoder_hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            projection_dim=WIDTH,
            max_position_embeddings=vocabulary.PROMPT_TOKENS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            label_smoothing=0.0,
            **ids,
        ),
        vision_config=vision_config(),
        projection_dim=WIDTH,
        image_text_hidden_size=WIDTH,
        **ids,
    )
    model = BlipForConditionalGeneration(config)
    encoded = tokenizer(
        [scene.caption for scene in corpus.scenes],
        padding="max_length",
        max_length=_CAPTION_TOKENS,
        return_tensors="pt",
    )
    words, mask = encoded.input_ids, encoded.attention_mask
    relation_words = torch.tensor(tokenizer.convert_tokens_to_ids([r.split()[0] for r in RELATIONS]))

    def loss_of(generator: torch.Generator) -> torch.Tensor:
        index = torch.randint(len(corpus), (batch,), generator=generator)
        pictures = corpus.images(index).contiguous()
        noise = torch.rand((batch, 1, 1, 1), generator=generator) * 0.16 - 0.08
        pictures = pictures + noise.clamp(min=0) * torch.randn(pictures.shape, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            seen = model.vision_model(pixel_values=pictures).last_hidden_state
            logits = model.text_decoder(
                input_ids=words[index], attention_mask=mask[index], encoder_hidden_states=seen, return_dict=True
            ).logits
        said, meant = logits[:, :-1].float(), words[index][:, 1:]
        loss = cross_entropy(said[meant != vocabulary.PAD], meant[meant != vocabulary.PAD])
        relation = torch.isin(meant, relation_words)
        return loss + _RELATION_WEIGHT * cross_entropy(said[relation], meant[relation])

    truth = [scene.caption for scene in held.scenes[:256]]
    sample = held.images(torch.arange(len(truth))).contiguous()

    def report() -> dict[str, float]:
        said = captions(model, sample)
        return {"held_out_exact": sum(a == b for a, b in zip(said, truth, strict=True)) / len(truth)}

    train("captioner", model, loss_of, schedule, seed, work, average=0.998, weight_decay=0.02, report=report)
    return model.eval()


def vision_config() -> dict[str, object]:
    """The vision transformer that captioner and CLIP share: patches of 8, four layers of width 96."""
    return dict(
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=8,
        attention_dropout=0.0,
        initializer_range=0.02,
    )


@torch.no_grad()
def captions(model: BlipForConditionalGeneration, pictures: torch.Tensor, batch: int = 64) -> list[str]:
    """Greedy captions of pictures in [-1, 1], shape (n, 3, 64, 64)."""
    tokenizer, said = vocabulary.caption_tokenizer(), []
    for part in pictures.split(batch):
        out = model.generate(pixel_values=part.contiguous(), max_length=vocabulary.PROMPT_TOKENS - 2, do_sample=False)
        said += tokenizer.batch_decode(out, skip_special_tokens=True)
    return said


def save(model: BlipForConditionalGeneration, folder: Path) -> None:
    """Write the checkpoint with its processor, weights in float16."""
    model.generation_config.max_length = vocabulary.PROMPT_TOKENS - 2
    model.half().save_pretrained(folder)
    processor = BlipImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    BlipProcessor(image_processor=processor, tokenizer=vocabulary.caption_tokenizer()).save_pretrained(folder)
    model.float()
