"""What goes into a test database of PANIC-TDA, as the records that must come out of it again. No tests here."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from PIL import Image

from panic_assets.interop.panic_tda.records import (
    Era,
    SourceAssignment,
    SourceClustering,
    SourceDiagram,
    SourceEmbedding,
    SourceExperiment,
    SourceInvocation,
    SourceLyapunov,
    SourceRun,
    Times,
)

TEXT_EMBEDDING, IMAGE_EMBEDDING = "Nomic", "NomicVision"
IMAGE_MODELS = ("FluxSchnell", "SDXLTurbo", "SD35Medium", "ZImageTurbo")
RINGS = {
    "python": (["FluxSchnell", "Moondream"], ["FluxSchnell", "Moondream", "SDXLTurbo", "BLIP2"]),
    "elixir": (["SD35Medium", "Moondream"], ["SD35Medium", "Qwen25VL", "ZImageTurbo", "Moondream"]),
}
PROMPTS = ["a red apple", "Ein Bär über «Köln» 🐻 — 日本語"]
SEED = 42
SIZE = 16
# Two colours that JPEG at quality 30 cannot tell apart.
LOOKALIKES = ((54, 224, 214), (53, 225, 217))
EPOCH = {"python": datetime(2025, 8, 1, 9, 30, 0, 125000, UTC), "elixir": datetime(2026, 8, 4, 1, 0, 1, 585456, UTC)}


@dataclass
class Content:
    """All records of one database, what its images show, and why each run ended.

    ``stops``: "length"; "duplicate" (lossy hashes agree, no true cycle); "cycle" (a true one, found by the same rule);
    "unknown" (cut short). ``pixels``: RGB of shape (height, width, 3) by identifier of the invocation.
    """

    era: Era
    experiments: list[SourceExperiment] = field(default_factory=list)
    runs: list[SourceRun] = field(default_factory=list)
    invocations: list[SourceInvocation] = field(default_factory=list)
    embeddings: list[SourceEmbedding] = field(default_factory=list)
    diagrams: list[SourceDiagram] = field(default_factory=list)
    clusterings: list[SourceClustering] = field(default_factory=list)
    assignments: list[SourceAssignment] = field(default_factory=list)
    exponents: list[SourceLyapunov] = field(default_factory=list)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    stops: dict[str, str] = field(default_factory=dict)


class Clock:
    """Time that passes at each look, and identifiers that grow with it."""

    def __init__(self, era: Era) -> None:
        self.now, self.count, self.era = EPOCH[era], 0, era

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1, microseconds=1013)
        return self.now

    def identifier(self) -> str:
        self.count += 1
        tail = hashlib.blake2b(f"{self.era}{self.count}".encode(), digest_size=8).hexdigest()
        return f"{'06b00af6' if self.era == 'python' else '019f00af'}{self.count:05x}7aa{tail}"

    def times(self) -> Times:
        started, completed = self.tick(), self.tick()
        if self.era == "python":
            return Times(started, completed)
        written = self.tick()
        return Times(started, completed, written, written + timedelta(microseconds=77))


def picture(colour: tuple[int, int, int], kind: str) -> tuple[bytes, np.ndarray]:
    """One colour as stored bytes (webp: lossless; avif: lossy) and as the pixels that they decode to."""
    stored = io.BytesIO()
    image = Image.new("RGB", (SIZE, SIZE), colour)
    if kind == "webp":
        image.save(stored, "WEBP", lossless=True, quality=100)
    else:
        image.save(stored, "AVIF", quality=50)
    return stored.getvalue(), np.asarray(Image.open(io.BytesIO(stored.getvalue())).convert("RGB"))


def outputs(run: SourceRun, ordinal: int, length: int) -> tuple[str, list[str | tuple[int, int, int]]]:
    """(why it ends, outputs): a text or the colour of an image."""
    found: list[str | tuple[int, int, int]] = []
    for place in range(length):
        model = run.network[place % len(run.network)]
        if model in IMAGE_MODELS:
            found.append(((37 * ordinal + 11 * place) % 90, (53 * place) % 200, (29 * ordinal + 5 * place) % 256))
        else:
            found.append(f"{model} sees thing {place} of run {ordinal} – ein Ding «{place}»")
    if run.seed != SEED:
        return "length", found
    first, second = (
        (PROMPTS.index(run.initial_prompt) == 0 if run.initial_prompt in PROMPTS else True),
        len(run.network),
    )
    if second == 2 and length > 4:
        found[2] = LOOKALIKES[0]
        found[4] = LOOKALIKES[1] if first else LOOKALIKES[0]
        return ("duplicate", found[:5]) if first else ("cycle", found[:5])
    if second == 4 and length > 3 and not first:
        found[3] = found[1]
        return "duplicate", found[:4]
    return "length", found


def diagrams(points: int, seed: int) -> tuple[list[np.ndarray], list[float]]:
    """Diagrams of that many points as their source would have them: float32 values, one infinite bar in dimension 0."""
    random = np.random.default_rng(seed)
    deaths = np.sort(random.random(points - 1).astype(np.float32)) + np.float32(0.5)
    zero = np.stack([np.zeros(points, np.float32), np.append(deaths, np.float32(np.inf))], axis=1)
    birth = random.random(2).astype(np.float32)
    one = np.stack([birth, birth + np.float32(0.25)], axis=1)
    entropy = random.random(3).astype(np.float32)
    found = [zero, one, np.zeros((0, 2), np.float32)]
    return [d.astype(np.float64) for d in found], [float(e) for e in entropy]


@dataclass(frozen=True)
class Plan:
    """How much of everything: replicates of each network and prompt, invocations of a run, numbers of a vector."""

    experiments: int = 2
    runs: int = 2
    length: int = 8
    dimension: int = 16
    rings: int = 2
    image_kind: str = "avif"


def make(era: Era, plan: Plan) -> Content:
    """Content of that era. The last of several experiments is incomplete."""
    content, clock = Content(era), Clock(era)
    for number in range(plan.experiments):
        _experiment(content, clock, plan, number, complete=number == 0 or number < plan.experiments - 1)
    _clusterings(content, clock)
    return content


def _experiment(content: Content, clock: Clock, plan: Plan, number: int, complete: bool) -> None:
    era = content.era
    networks = [list(ring) for ring in RINGS[era][: plan.rings]]
    python = era == "python"
    seeds = [-1] * plan.runs + ([SEED] if complete else [])
    started = clock.times()
    experiment = SourceExperiment(
        clock.identifier(),
        networks,
        list(PROMPTS if complete else PROMPTS[:1]),
        [TEXT_EMBEDDING, IMAGE_EMBEDDING],
        plan.length,
        seeds if python else None,
        None if python else plan.runs,
        started if complete else Times(started.started_at, None, started.inserted_at, started.updated_at),
    )
    content.experiments.append(experiment)
    of_experiment: list[SourceRun] = []
    for network in networks:
        for replicate, seed in enumerate(seeds if python else range(plan.runs)):
            for prompt in experiment.prompts:
                written = clock.times()
                run = SourceRun(
                    clock.identifier(),
                    experiment.source_id,
                    network,
                    prompt,
                    plan.length,
                    seed if python else None,
                    None if python else replicate,
                    Times() if python else Times(None, None, written.inserted_at, written.updated_at),
                )
                of_experiment.append(run)
    content.runs.extend(of_experiment)
    for ordinal, run in enumerate(of_experiment):
        length = plan.length if complete else (0 if ordinal == len(of_experiment) - 1 else max(1, plan.length - 3))
        # Images of the first run are old ones, as in a database that has lived through the change of format.
        kind = "webp" if python or (number == 0 and ordinal == 0) else plan.image_kind
        _run(content, clock, plan, run, 100 * number + ordinal, length, kind, complete)
    if complete and not python:
        _exponents(content, clock, experiment)


def _run(
    content: Content, clock: Clock, plan: Plan, run: SourceRun, ordinal: int, length: int, kind: str, complete: bool
) -> None:
    stop, found = outputs(run, ordinal, length)
    content.stops[run.source_id] = stop if complete else "unknown"
    before: str | None = None
    points: dict[str, int] = {}
    for place, output in enumerate(found):
        text, image = (output, None) if isinstance(output, str) else (None, picture(output, kind))
        invocation = SourceInvocation(
            clock.identifier(),
            run.source_id,
            place,
            run.network[place % len(run.network)],
            "image" if image else "text",
            run.seed,
            before,
            text,
            image[0] if image else None,
            clock.times(),
        )
        before = invocation.source_id
        content.invocations.append(invocation)
        if image:
            content.pixels[before] = image[1]
        model = IMAGE_EMBEDDING if image else TEXT_EMBEDDING
        points[model] = points.get(model, 0) + 1
        vector = np.random.default_rng([ordinal, place]).standard_normal(plan.dimension).astype(np.float32)
        vector /= np.linalg.norm(vector)
        content.embeddings.append(SourceEmbedding(clock.identifier(), before, model, vector, clock.times()))
    for model in sorted(points) if complete else ():
        if points[model] > 1:
            bars, entropy = diagrams(points[model], ordinal)
            content.diagrams.append(
                SourceDiagram(clock.identifier(), run.source_id, model, bars, entropy, None, clock.times())
            )


def _clusterings(content: Content, clock: Clock) -> None:
    """Two clusterings of all texts: by parity into two clusters, every fifth text an outlier; one of two is finer."""
    texts = [e for e in content.embeddings if e.embedding_model == TEXT_EMBEDDING]
    for layer in range(2):
        times = clock.times()
        python = content.era == "python"
        clustering = SourceClustering(
            clock.identifier(),
            TEXT_EMBEDDING,
            "hdbscan" if python else "evoc",
            {"cluster_selection_epsilon": 0.4 + layer / 10, "allow_single_cluster": True}
            if python
            else {"noise_level": 0.5, "random_state": 42, "n_layers": 2, "metric": "kosinus–ähnlich"},
            None if python else layer,
            Times(times.started_at, times.completed_at, clock.tick(), None) if python else times,
        )
        content.clusterings.append(clustering)
        for index, embedding in enumerate(texts):
            label = (index % 2) if layer else (index % 3) % 2
            medoid = None if index % 5 == 4 else texts[label].source_id
            written = clock.times()
            content.assignments.append(
                SourceAssignment(
                    clock.identifier(),
                    clustering.source_id,
                    embedding.source_id,
                    embedding.invocation_id,
                    medoid,
                    Times() if python else Times(None, None, written.inserted_at, written.updated_at),
                )
            )


def _exponents(content: Content, clock: Clock, experiment: SourceExperiment) -> None:
    pairs = [(network, prompt) for network in experiment.networks for prompt in experiment.prompts]
    for index, (network, prompt) in enumerate(pairs):
        curve = [0.5 + 0.125 * step for step in range(2 if index else 40)]
        content.exponents.append(
            SourceLyapunov(
                clock.identifier(),
                experiment.source_id,
                " -> ".join(network),
                prompt,
                TEXT_EMBEDDING,
                -0.25 + 0.5 * index,
                None if index == 1 else 0.75,
                curve,
                3,
                len(curve),
                clock.times(),
            )
        )


def of_run(content: Content, run_id: str) -> tuple[list[SourceInvocation], list[SourceEmbedding]]:
    """Invocations in order, and embeddings by model and place, of one run."""
    invocations = [i for i in content.invocations if i.run_id == run_id]
    places = {i.source_id: i.sequence_number for i in invocations}
    embeddings = [e for e in content.embeddings if e.invocation_id in places]
    return invocations, sorted(embeddings, key=lambda e: (e.embedding_model, places[e.invocation_id]))
