from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import snapshot_download

from panic_assets.models.adapters import load_model
from panic_assets.models.entry import ModelEntry, parse_entry
from panic_assets.models.errors import ModelCallError, ModelLoadError, RegistryError
from panic_assets.models.permissions import folder_code, list_file, permissions
from panic_assets.models.plugins import PluginDied, PluginError, PluginProcess, Stage
from panic_assets.models.recipes import RECIPES
from panic_assets.models.registry import load_registry
from panic_assets_tests.models import tiny, tiny_plugins

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY")


def entry(folder: Path | None, recipe: str = "moondream", **more: Any) -> ModelEntry:
    kind = RECIPES[recipe].kind
    shape: dict[str, Any] = {"input": "image", "output": "text"}
    if kind == "embedder":
        shape = {"inputs": sorted(RECIPES[recipe].ways), "dimension": 16, "normalised": False}
    values = {
        "name": "Foreign",
        "adapter": "plugin",
        "remote_code": True,
        "source": {"kind": "folder", "path": str(folder)},
        "kind": kind,
        "parameters": {"recipe": recipe},
        "dtype": "float32",
        "batch": 4,
        "seed_behaviour": "seeded" if kind == "generator" else "deterministic",
        "memory_gb": 0,
        "licence": "MIT",
        **shape,
        **more,
    }
    return parse_entry(values, "test")


def allow(*codes: tuple[str, str], **more: Any) -> None:
    items = [{"repo": repo, "commit": commit, "reason": "the test wrote it", **more} for repo, commit in codes]
    list_file().parent.mkdir(parents=True, exist_ok=True)
    list_file().write_text(yaml.safe_dump(items))


@pytest.fixture(autouse=True)
def _own_data(data: Path) -> None:
    """Each test has an allow-list of its own."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Makes folders that the hub's library takes for commits it has fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def make(repo: str, commit: str) -> Path:
        return tmp_path / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / commit

    return make


@pytest.fixture
def captioner(tmp_path: Path) -> Path:
    return tiny_plugins.captioner(tmp_path / "foreign", tmp_path / "marker")


@pytest.fixture
def opened() -> Iterator[Callable[[ModelEntry], Any]]:
    models: list[Any] = []

    def get(wanted: ModelEntry) -> Any:
        models.append(load_model(wanted, "cpu"))
        return models[-1]

    yield get
    for model in models:
        model.close()


# Permission


def test_nothing_runs_that_is_not_allowed(captioner: Path, tmp_path: Path) -> None:
    repo, digest = folder_code(captioner)
    with pytest.raises(ModelLoadError) as error:
        load_model(entry(captioner), "cpu")
    assert not (tmp_path / "marker").exists()
    lines = str(error.value).partition(f"add to {list_file()}:\n")[2]
    assert yaml.safe_load(lines) == [{"repo": repo, "commit": digest, "reason": "<why>"}]
    list_file().write_text(lines)
    assert set(permissions()) == {(repo, digest)}


def test_a_changed_file_is_another_commit(captioner: Path, tmp_path: Path) -> None:
    before = folder_code(captioner)
    allow(before)
    with (captioner / "modeling_tiny.py").open("a") as code:
        code.write("\n")
    assert folder_code(captioner) != before
    with pytest.raises(ModelLoadError, match=folder_code(captioner)[1]):
        load_model(entry(captioner), "cpu")
    assert not (tmp_path / "marker").exists()


def test_a_renamed_file_is_another_commit(captioner: Path) -> None:
    before = folder_code(captioner)
    (captioner / "modeling_tiny.py").rename(captioner / "modeling_tin.py")
    assert folder_code(captioner) != before


def test_a_branch_is_not_a_commit() -> None:
    hub = {"source": {"kind": "hub", "repo": "someone/foreign"}, "revision": "main"}
    allow(("someone/foreign", COMMIT))
    with pytest.raises(ModelLoadError, match=r"revision main can be another code tomorrow.*someone/foreign/commits"):
        load_model(entry(None, **hub), "cpu")
    with pytest.raises(ModelLoadError, match=f"(?s)add to .*commit: {OTHER}"):
        load_model(entry(None, **{**hub, "revision": OTHER}), "cpu")


def test_the_shipped_ones_do_not_run_unasked() -> None:
    shipped = [model for model in load_registry().values() if model.remote_code]
    assert {"Moondream2", "JinaClip", "NomicVision"} <= {model.name for model in shipped}
    for model in shipped:
        with pytest.raises(ModelLoadError, match="revision main can be another code tomorrow"):
            load_model(model, "cpu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "can't be read"),
        ("repo: a/b", "must hold a list"),
        (f"[{{repo: a/b, commit: main, reason: x}}, {{repo: a/b, commit: {COMMIT}}}]", r"\[1\].reason: is missing"),
        (f"[{{repo: ab, commit: {COMMIT}, reason: x}}]", r"\[0\].repo"),
        (f"[{{repo: a/b, commit: {COMMIT}, reason: x, pyton: y}}]", "did you mean python"),
    ],
)
def test_a_list_that_is_not_valid(content: str, message: str, captioner: Path) -> None:
    list_file().write_text(content)
    with pytest.raises(RegistryError, match=message):
        load_model(entry(captioner), "cpu")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"remote_code": False}, "remote_code: true goes with adapter: plugin"),
        ({"adapter": "captioner", "parameters": {"style": "bare"}}, "remote_code: true goes with adapter: plugin"),
        ({"parameters": {"recipe": "moonbeam"}}, "there are moondream, jina-clip"),
        ({"parameters": {"recipe": "jina-clip"}}, "jina-clip is a way of calling a embedder"),
        ({"input": "text"}, "moondream takes no text"),
        ({"parameters": {"recipe": "moondream", "arguments": {"variant": None}}}, "knows no variant; it knows length"),
        ({"parameters": {"recipe": 3}}, "parameters.recipe: 3"),
        ({"load": {"code": {"someone/code": "main"}}}, "load.code"),
    ],
)
def test_entries_that_are_not_valid(more: dict[str, Any], message: str, captioner: Path) -> None:
    with pytest.raises(RegistryError, match=message):
        entry(captioner, **more)


def test_a_dimension_is_what_is_kept(captioner: Path) -> None:
    arguments = {"recipe": "jina-clip", "arguments": {"truncate_dim": 8}}
    with pytest.raises(RegistryError, match=r"dimension: 16 is not parameters.arguments.truncate_dim, 8"):
        entry(captioner, "jina-clip", parameters=arguments)


def test_an_experiment_can_neither_ask_for_code_nor_for_an_interpreter(captioner: Path) -> None:
    for field in ("remote_code", "adapter", "python"):
        with pytest.raises(RegistryError, match=f"{field}: can't be overridden"):
            entry(captioner).with_overrides({field: True})
    with pytest.raises(RegistryError, match=r"load.python: is not a field"):
        entry(captioner).with_overrides({"load": {"python": "/bin/sh"}})


# A captioner


def test_a_captioner(
    captioner: Path, tmp_path: Path, opened: Callable[[ModelEntry], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for secret in SECRETS:
        monkeypatch.setenv(secret, "secret-of-this-machine")
    allow(folder_code(captioner))
    model = opened(entry(captioner))
    told = json.loads((tmp_path / "marker").read_text())
    assert told["pid"] == model.pid != os.getpid()
    assert not [name for name in sys.modules if "modeling_tiny" in name]
    assert "secret-of-this-machine" not in json.dumps(told)
    assert told["environment"]["HF_HUB_OFFLINE"] == "1"
    assert told["environment"]["HOME"] != os.environ.get("HOME")
    assert not [place for place in told["path"] if place.endswith("panic_assets/models")]

    pictures = tiny.pictures(4)
    first = [output.value for output in model.invoke(pictures, [1, 2, 3, 2**63 - 1])]
    assert first[1].startswith("normal (40, 60, 3) ")
    assert [output.value for output in model.invoke(pictures[2::-1], [3, 2, 1])] == first[2::-1]
    assert model.invoke(pictures[:1], [2])[0].value != first[0]
    short = model.for_entry(entry(captioner, parameters={"recipe": "moondream", "arguments": {"length": "short"}}))
    assert short.invoke(pictures[:1], [1])[0].value == first[0].replace("normal", "short")
    assert short.pid == model.pid

    with pytest.raises(PluginError, match="ValueError: nothing to see"):
        model.invoke([np.zeros((8, 8, 3), np.uint8)], [1])
    assert model.invoke(pictures[:1], [1])[0].value == first[0]

    # Its death is told, and the next call starts another.
    before = model.pid
    with pytest.raises(
        PluginDied, match=rf"(?s)Foreign: the process {before} .*SIGKILL.*blinded.*next call starts another"
    ):
        model.invoke([np.full((8, 8, 3), 255, np.uint8)], [1])
    assert model.invoke(pictures[:1], [1])[0].value == first[0]
    assert model.pid != before
    # Unless it is no longer allowed.
    os.kill(model.pid, signal.SIGKILL)
    with pytest.raises(PluginDied):
        model.invoke(pictures[:1], [1])
    list_file().unlink()
    with pytest.raises(ModelLoadError, match="runs only if you allow it"):
        model.invoke(pictures[:1], [1])


# Embedders


def test_code_of_another_repository(
    tmp_path: Path, cache: Callable[[str, str], Path], opened: Callable[[ModelEntry], Any]
) -> None:
    marker, code = tmp_path / "marker", ("someone/code", OTHER)
    tiny_plugins.dual(cache("someone/foreign", COMMIT), marker, ("someone/code", cache(*code)))
    # It is in the cache of this machine, but nobody allowed it.
    other = cache("someone/other", COMMIT)
    other.mkdir(parents=True)
    (other.parent.parent / "refs").mkdir()
    (other.parent.parent / "refs" / "main").write_text(COMMIT)
    assert snapshot_download("someone/other", local_files_only=True) == str(other)
    hub = {"source": {"kind": "hub", "repo": "someone/foreign"}, "revision": COMMIT}
    allow(("someone/foreign", COMMIT))
    with pytest.raises(ModelLoadError, match=r"code lies in someone/code.*Set load: {code: {someone/code: <commit>}}"):
        load_model(entry(None, "jina-clip", **hub), "cpu")
    wanted = {**hub, "load": {"code": {"someone/code": OTHER}}}
    with pytest.raises(ModelLoadError, match=f"(?s)add to .*repo: someone/code\n  commit: {OTHER}"):
        load_model(entry(None, "jina-clip", **wanted), "cpu")
    assert not marker.exists()

    allow(("someone/foreign", COMMIT), code, python=sys.executable)
    arguments = {"recipe": "jina-clip", "arguments": {"truncate_dim": 8}}
    model = opened(entry(None, "jina-clip", **wanted, parameters=arguments, dimension=8))
    told = json.loads(marker.read_text())
    assert told["other"] == "LocalEntryNotFoundError"
    texts = ["a", "abc", "cab", "bb", "", "aab"]
    vectors = model.embed(texts, "text")
    counts = torch.tensor([[*(float(text.count(letter)) for letter in "abc"), 1.0] for text in texts])
    np.testing.assert_allclose(vectors, (counts @ tiny_plugins.weights().T)[:, :8].numpy(), rtol=1e-5, atol=1e-6)
    assert (model.embed(texts[::-1], "text")[::-1] == vectors).all()
    pictures = tiny.pictures(6)
    seen = model.embed(pictures, "image")
    means = np.stack([[*(picture.mean((0, 1)) / 255), 1.0] for picture in pictures])
    np.testing.assert_allclose(seen, (means @ tiny_plugins.weights().numpy().T)[:, :8], rtol=1e-5, atol=1e-6)
    assert (model.embed(pictures[4:], "image") == seen[4:]).all()
    assert model.truncated(texts) == [False] * 6


@pytest.mark.parametrize("recipe", ["text-mean", "text-first-token"])
def test_pooled_texts(recipe: str, checkpoint: Callable[[str], Path], opened: Callable[[ModelEntry], Any]) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = checkpoint("BertModel")
    folder = next(place for place in (folder.parent / f"{folder.name}-transformer", folder) if place.is_dir())
    allow(folder_code(folder))
    wanted = entry(folder, recipe, dimension=32, max_text_tokens=20, parameters={"recipe": recipe, "prefix": "q "})
    model = opened(wanted)
    texts = ["a cat", "b", "dogs and cats", "x" * 40, "the end"]
    vectors = model.embed(texts, "text")
    inside, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(texts, vectors, strict=True):
        with torch.no_grad():
            tokens = tokenizer("q " + text, truncation=True, max_length=20, return_tensors="pt")
            hidden = inside(**tokens).last_hidden_state[0]
        alone = hidden[0] if recipe == "text-first-token" else hidden.mean(0)
        np.testing.assert_allclose(vector, alone.numpy(), atol=1e-5)
    assert (model.embed(texts[::-1], "text")[::-1] == vectors).all()
    assert model.truncated(texts) == [False, False, False, True, False]
    assert model.truncated([]) == []


def test_pooled_pictures(checkpoint: Callable[[str], Path], opened: Callable[[ModelEntry], Any]) -> None:
    folder = checkpoint("Dinov2Model")
    allow(folder_code(folder))
    pictures = tiny.pictures(5)
    vectors = opened(entry(folder, "image-first-token", dimension=32)).embed(pictures, "image")
    native = load_model(tiny.entry(load_registry()["DINOv2"], folder, dimension=32, dtype="float32"), "cpu").embed(
        pictures, "image"
    )
    # The first token of Dinov2 after its last norm is what transformers calls pooled; there at length 1.
    np.testing.assert_allclose(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), native, atol=1e-5)


# The process


def test_code_that_cannot_be_loaded(captioner: Path) -> None:
    (captioner / "modeling_tiny.py").write_text("import a_package_of_old")
    allow(folder_code(captioner))
    with pytest.raises(ModelLoadError, match=r"its code failed: ImportError.*a_package_of_old.*python in"):
        load_model(entry(captioner), "cpu")


def test_an_interpreter_that_is_not_there(captioner: Path) -> None:
    allow(folder_code(captioner), python="/nowhere/python")
    with pytest.raises(ModelLoadError, match=r"/nowhere/python can't be started.*remote_code.yaml"):
        load_model(entry(captioner), "cpu")


def test_a_process_without_an_owner_ends() -> None:
    process = PluginProcess(None, Stage([]))
    running, home = process.process, Path(process.process.args[2])  # type: ignore[index]
    assert home.is_dir()
    del process
    gc.collect()
    deadline = time.monotonic() + 10
    while running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.poll() is not None
    assert not home.exists()


def test_the_process_outlives_no_parent() -> None:
    code = (
        "import os; from panic_assets.models.plugins import PluginProcess, Stage\n"
        "process = PluginProcess(None, Stage([]))\n"
        "try: process.ask('nothing')\nexcept Exception: pass\n"
        "print(process.process.pid, process.process.args[2], flush=True)\nos._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid, home = done.stdout.split()
    deadline = time.monotonic() + 10
    while Path(home).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(home).exists()
    while Path("/proc").is_dir() and Path("/proc", pid, "exe").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path("/proc", pid, "exe").exists()


def test_answers_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import sys\nfrom multiprocessing.connection import Connection\n"
        "c = Connection(int(sys.argv[-1]))\nc.recv_bytes()\nc.send([1, 2])\nc.recv_bytes()"
    )
    monkeypatch.setattr("panic_assets.models.plugins.CHILD", script)
    process = PluginProcess(None, Stage([]))
    with pytest.raises(PluginDied, match="its answer can't be read"):
        process.ask("load")
    assert process.is_lost
    assert process.process.poll() is not None


def test_a_stage_knows_one_commit(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    stage = Stage([("someone/code", COMMIT, tmp_path / "files")])
    place = stage.cache / "models--someone--code"
    assert (place / "refs" / "main").read_text() == COMMIT
    assert [snapshot.name for snapshot in (place / "snapshots").iterdir()] == [COMMIT]
    stage.close()
    assert (tmp_path / "files").is_dir()
    assert not stage.home.exists()


def test_call_errors_are_of_this_house() -> None:
    assert issubclass(PluginError, ModelCallError)
    assert issubclass(PluginDied, ModelCallError)
