"""Files that people write: the plain values in them, and what is wrong with them in sentences.

Here belongs what all such files share. What their values mean belongs to each kind: ``experiment``, ``studies.spec``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from panic_assets.errors import PanicError


class FileProblems(PanicError):
    """A file that can't be run as written; ``problems`` holds one sentence for each thing to mend."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{where}: {count}{lines}")


def named_values(path: Path, wrong: type[FileProblems]) -> object:
    """What a YAML or JSON file holds; the ``name`` of a mapping is the file's stem unless the file gives one.

    Raises:
        FileProblems: the file is missing or is not YAML or JSON; of the kind ``wrong``.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(str(path), [f"can't be read: {error}"]) from error
    try:
        values: object = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        language = "JSON" if path.suffix == ".json" else "YAML"
        raise wrong(str(path), [f"is not {language}: {error}"]) from error
    if isinstance(values, dict):
        values.setdefault("name", path.stem)
    return values
