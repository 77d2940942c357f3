"""The rules of the house: what may import what, what every module says of itself, what must not be in the tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from panic_assets.cli import app
from panic_assets.experiment import Experiment
from panic_assets.files import SUFFIXES
from panic_assets.models.registry import load_registry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "panic_assets"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 500
TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".json", ".ipynb", ".txt", ".cfg", ".css", ".js", ".html", ".sh", ""}

# What would tie the tree to one machine, one registry or one tracker. Numbers of six digits are colours.
FORBIDDEN = {
    "a home folder": r"(?<![\w.])/(?:home|Users|root)/\w",
    "a working folder": r"(?<![\w./])/(?:work|workspace|mnt|scratch|srv)/\w",
    "a temporary folder": r"(?<![\w./\]})])/tmp/\w",
    "a folder of Windows": r"\b[A-Z]:\\\\?(?:Users|Windows)",
    "a private address": r"\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b",
    "a package index": r"--(?:extra-)?index-url|--trusted[-]host|index-url\s*=|\b(?:nexus|artifactory)[.:/]",
    "an issue": r"(?<![\w&/#])#\d{1,5}\b(?![\w;])|\b(?:issue|ticket|PR)\s+#?\d+\b|/(?:issues|pull)/\d+",
}


def tracked() -> list[Path]:
    """Files that git knows, and those that it would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: which files are tracked is not known")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in TEXT and path.stat().st_size < 1_000_000]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_rooms_import_one_way() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout
    assert "0 kept" not in done.stdout


def test_every_room_is_in_the_contracts() -> None:
    """A new package or module at the top has a place among the layers."""
    layers = (ROOT / "pyproject.toml").read_text()
    rooms = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    for room in sorted(rooms - {"__init__"}):
        assert re.search(rf'panic_assets\.{room}[" ]', layers), f"panic_assets.{room} is in no layer of pyproject.toml"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_they_are_and_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, f"{name_of(path)} does not say what belongs there"
    assert len(text.splitlines()) <= LONGEST


def test_nothing_ties_the_tree_to_a_place() -> None:
    found = []
    for path in tracked():
        text = path.read_text(encoding="utf-8", errors="replace")
        for what, pattern in FORBIDDEN.items():
            for match in re.finditer(pattern, text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name_of(path)}:{line}: {what}: {match.group()!r}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a home folder", "see /home/" + "anna/data"),
        ("a working folder", "cd /work" + "/main"),
        ("a temporary folder", "open('/tmp" + "/x')"),
        ("a private address", "http://10.1." + "2.3:8080"),
        ("a package index", "pip install --index" + "-url x"),
        ("an issue", "as in #" + "123"),
        ("an issue", "see issue " + "12"),
    ],
)
def test_the_patterns_find_what_they_should(what: str, text: str) -> None:
    assert re.search(FORBIDDEN[what], text)


@pytest.mark.parametrize("text", ["colour #1f77b4", "&#123;", "dagster==1.13.27", "tag: #a", "v10.1.2", "#000000"])
def test_the_patterns_leave_the_rest_alone(text: str) -> None:
    assert not [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)]


@pytest.mark.parametrize(
    "path", [p for p in sorted((ROOT / "data" / "experiments").iterdir()) if p.suffix in SUFFIXES], ids=name_of
)
def test_the_experiments_that_ship_can_be_run(path: Path) -> None:
    experiment = Experiment.load(path)
    experiment.check(load_registry(), where=str(path))
    assert experiment.description
    assert experiment.name == path.stem


def test_the_demo_is_the_one_that_make_runs() -> None:
    assert "run data/experiments/demo.yaml" in (ROOT / "Makefile").read_text()
    assert (ROOT / "data" / "experiments" / "demo.yaml").is_file()


def shell_lines() -> list[str]:
    """Commands of the README's code blocks, without prompts and comments."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:bash|sh|shell|console)?\n(.*?)```", readme, re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line and not line.startswith("#")]


def test_the_readme_shows_the_two_commands() -> None:
    lines = shell_lines()
    assert "make test" in lines
    assert "make demo" in lines


def test_commands_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {str(group.name) for group in app.registered_groups}
    known = 0
    for line in shell_lines():
        words = line.split()
        if words[0] == "make":
            assert set(words[1:]) - {"-n"} <= targets | {w for w in words if "=" in w}, line
            known += 1
        elif words[0].rsplit("/", 1)[-1] == "panic":
            assert words[1] in commands, line
            known += 1
    assert known >= 2


def test_files_that_the_readme_links_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", readme):
        assert (ROOT / link).exists(), f"README.md links {link}, which is not there"


def test_what_the_summary_names_is_there() -> None:
    """Every `panic run` ends by naming a notebook and a target of make."""
    said = (PACKAGE / "reports" / "terminal.py").read_text()
    for notebook in re.findall(r"notebooks/\w+\.ipynb", said):
        assert (ROOT / notebook).is_file()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make (\w+),", said)) <= targets


def test_workflows_and_configuration_are_yaml() -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        assert isinstance(yaml.safe_load((ROOT / name).read_text()), dict)
