"""Folders of files that each hold one named thing: which there are, and where a file goes that comes from elsewhere.

Here belongs finding files by the name of what they hold, and the folder of experiments. What is in an experiment file
belongs to ``experiment``; the folder of studies, to ``studies.spec``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment, ExperimentError
from panic_assets.written import FileProblems

SUFFIXES = (".yaml", ".yml", ".json")


class UnknownExperiment(PanicError):
    """No file holds an experiment of that name."""


class Named(Protocol):
    """What a file of such a folder holds: two that are equal are the same."""

    @property
    def name(self) -> str:
        """Says which one it is; one file of the folder has it."""


Thing = TypeVar("Thing", bound=Named)


class Wording(NamedTuple):
    """How a kind of file is spoken of: ``kind`` in the singular, and the command that adds one."""

    kind: str
    command: str

    @property
    def a_kind(self) -> str:
        """The kind with its article."""
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"


class NamedFiles(Generic[Thing]):
    """The files of one folder, which need not exist. A kind of file is a class that says how one is read."""

    wording: ClassVar[Wording]
    wrong: ClassVar[type[FileProblems]]
    """What ``load`` raises about a file, and what is raised about one that does not fit with the others."""
    unknown: ClassVar[type[PanicError]]
    load: Callable[[Path], Thing]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """All files, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if p.suffix in SUFFIXES and not p.name.startswith("."))

    def read(self) -> tuple[dict[str, tuple[Path, Thing]], dict[Path, FileProblems]]:
        """(things by name with their files, files that hold none with what is wrong).

        A name that two files claim counts for the first; the other is told what is wrong.
        """
        sound: dict[str, tuple[Path, Thing]] = {}
        broken: dict[Path, FileProblems] = {}
        for path in self.paths():
            try:
                thing = self.load(path)
            except self.wrong as error:
                broken[path] = error
                continue
            if thing.name in sound:
                taken = f"name: {thing.name!r} is taken by {sound[thing.name][0]}; rename one"
                broken[path] = self.wrong(str(path), [taken])
            else:
                sound[thing.name] = (path, thing)
        return sound, broken

    def named(self, name: str) -> Thing:
        """The thing of that name.

        Raises:
            FileProblems: its file is wrong (``wrong``).
            PanicError: there is no such file (``unknown``).
        """
        sound, broken = self.read()
        if name in sound:
            return sound[name][1]
        for path, error in broken.items():
            if path.stem == name:
                raise error
        known = ", ".join(sorted(sound)) or "none"
        raise self.unknown(
            f"no file in {self.folder} holds {self.wording.a_kind} {name!r}; there are: {known}. "
            f"Add one with `{self.wording.command}`, or correct the name."
        )

    def adopt(self, path: Path) -> Thing:
        """Take a file into the folder under the name of what it holds, unless it lies there already.

        Raises:
            FileProblems: the file is wrong, or the folder holds another file of that name (``wrong``).
        """
        thing = self.load(path)
        there = self.read()[0].get(thing.name)
        if there and there[1] == thing:
            return thing
        if there and there[0].stem != path.stem:
            taken = f"name: {thing.name!r} is taken by {there[0]}; change that file and run it, "
            raise self.wrong(str(path), [f"{taken}or give this {self.wording.kind} another name"])
        self.folder.mkdir(parents=True, exist_ok=True)
        # The suffix says how a file is read, so it comes with the text.
        suffix = path.suffix if path.suffix in SUFFIXES else ".yaml"
        target = self.folder / f"{there[0].stem if there else thing.name}{suffix}"
        if target.exists() and not (there and there[0] == target):
            raise self.wrong(str(path), [f"name: {target} is there already and holds something else; rename one"])
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(path, aside)
        aside.replace(target)
        if there and there[0] != target:
            there[0].unlink()
        return thing


class ExperimentFiles(NamedFiles[Experiment]):
    """The experiment files of one folder, which need not exist."""

    wording = Wording("experiment", "panic run FILE")
    wrong, unknown = ExperimentError, UnknownExperiment
    load = staticmethod(Experiment.load)

    def experiment(self, name: str) -> Experiment:
        """The experiment of that name.

        Raises:
            ExperimentError: its file is wrong.
            UnknownExperiment: there is no such file.
        """
        return self.named(name)
