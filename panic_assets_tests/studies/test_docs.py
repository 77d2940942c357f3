"""``docs/studies.md``: what it says is shown by tests that exist, and its file is a study."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from panic_assets.studies.spec import StudySpec

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", PAGE)) - {"test_accuracy", "test_accuracy_unseen"}
    there = {
        name
        for path in (ROOT / "panic_assets_tests").rglob("test_*.py")
        for name in re.findall(r"def (test_[a-z0-9_]+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert not named - there


def test_the_file_of_the_page_is_a_study(tmp_path: Path) -> None:
    written = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert written
    (tmp_path / "page.yaml").write_text(written[1], encoding="utf-8")
    spec = StudySpec.load(tmp_path / "page.yaml")
    assert spec.task == yaml.safe_load(written[1])["task"]
    assert set(spec.arms) == {"none", "spectral_norm", "dropout"}
