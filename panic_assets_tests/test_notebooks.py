"""The notebooks run from top to bottom on what the bundled models made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from panic_assets.paths import project_dir

NOTEBOOKS = sorted((project_dir() / "notebooks").glob("*.ipynb"))

_SMALL_DEMO = """
name: demo
networks: [[TinyScenes, TinyCaption], [TinyScenesFast, TinyCaptionSampled]]
prompts: [a large green heart on a white background, a penguin by a campfire]
seeds: [1, -1]
max_length: 12
embedding_models: [TinyCLIP, MiniLM]
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which a small form of the demo was run."""
    from panic_assets.cli import app

    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "small.yaml").write_text(_SMALL_DEMO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PANIC_DATA", str(folder))
        patch.setenv("PANIC_DAGSTER_STATE", str(folder / ".dagster"))
        patch.setenv("DAGSTER_HOME", str(project_dir()))
        result = CliRunner().invoke(app, ["run", str(folder / "small.yaml")])
    assert result.exit_code == 0, result.output
    assert "Where to look" in result.output
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PANIC_DATA", str(demo))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any(_finding(notebook) in output.get("text", "") for output in notebook.cells[-1].outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_found(path: Path) -> None:
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.source for cell in cells if cell.outputs or cell.execution_count is not None]


def _finding(notebook: Any) -> str:
    """Words of the finding that the last cell prints, which each notebook names in its own metadata."""
    words: str = notebook.metadata["panic_assets"]["finding"]
    return words
