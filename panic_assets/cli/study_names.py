"""From what a person types to the study that is meant, and to its file.

Here belongs the resolution of names and nothing that prints.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from panic_assets import paths
from panic_assets.cli.names import UnknownName, either, known_studies, some

_NOTHING = "there is none yet. `panic study run FILE` runs one"


def study_named(text: str) -> str:
    """The name of the study that is meant by a name, or by the beginning of one.

    Raises:
        UnknownName: there is none, or there are several; the message names near ones.
    """
    known = sorted(known_studies())
    if text in known:
        return text
    found = [name for name in known if text and name.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownName(f"{text!r} may be {either(found)}; type more of the name")
    near = get_close_matches(text, known, n=3, cutoff=0.5)
    hint = f"did you mean {either(near)}?" if near else f"there are: {some(known)}" if known else _NOTHING
    raise UnknownName(f"there is no study {text!r}; {hint}")


def study_file(text: str) -> Path:
    """The study file that is meant by a path, or by the name of a study.

    Raises:
        UnknownName: no study of that name, or it has no file.
    """
    from panic_assets.files import SUFFIXES
    from panic_assets.studies.spec import StudyFiles

    path = Path(text)
    if path.suffix in SUFFIXES or path.is_file() or len(path.parts) > 1:
        return path
    name = study_named(text)
    files = StudyFiles(paths.studies_dir())
    sound, broken = files.read()
    if name in sound:
        return sound[name][0]
    for file in broken:
        if file.stem == name:
            return file
    raise UnknownName(
        f"study {name} has no file in {paths.studies_dir()}; its settings are in the lake: "
        f"panic sql \"SELECT spec FROM model_runs WHERE study = '{name}'\""
    )
