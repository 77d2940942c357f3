"""The user's guide: its Python runs, its commands and links are there, and its numbers are those of the results."""

from __future__ import annotations

import re

import pytest
import typer

from panic_assets.cli.codec import codec_app
from panic_assets.lake import TABLES
from panic_assets.paths import project_dir

ROOT = project_dir()
TEXT = (ROOT / "docs" / "codec.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
BEGIN, END = "<!-- measured by benchmarks/codec_photos.py -->", "<!-- end of what was measured -->"


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_what_it_says_in_python_runs(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "docs/codec.md", "exec"), {})
    assert capsys.readouterr().out


def test_its_commands_and_options_exist() -> None:
    commands = typer.main.get_command(codec_app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"panic codec ([a-z-]+)", TEXT))
    assert named == set(commands)
    known = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    shown = re.findall(r"^\.venv/bin/panic codec [^#\n]*", TEXT, re.MULTILINE)
    assert {option for line in shown for option in re.findall(r"--[a-z-]+", line)} <= known


def test_its_links_and_tables_exist() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / "docs" / link).exists(), link
    queried = re.findall(r"SELECT (.*?) FROM (\w+) WHERE", TEXT)
    assert {table for _, table in queried} == {"codec_rates", "codec_comparisons"}
    for columns, table in queried:
        assert set(re.findall(r"[a-z_]{4,}", columns)) - {"round"} <= set(TABLES[table].names)


def test_its_numbers_are_those_of_the_results() -> None:
    """`python -m benchmarks.codec_photos` writes both."""
    shown = TEXT.partition(BEGIN)[2].partition(END)[0].strip()
    assert "photos, 640 x 427" in shown
    results = (ROOT / "benchmarks" / "results" / "codec_photos.md").read_text(encoding="utf-8")
    assert shown in results


def test_no_photo_and_no_test_caption_is_trained_on() -> None:
    from panic_assets.codec.training import images

    source = "".join(path.read_text() for path in (ROOT / "panic_assets" / "codec").rglob("*.py"))
    assert "load_sample_image" not in source
    assert {"training"} == {
        split for make in images.POOLS.values() for split in make.__code__.co_consts if split in images.SPLITS
    }
