"""The command as a whole: help, errors, exit codes, pipes, and what may not be imported."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets_tests.cli.parts import Shell

HEAVY = ("torch", "dagster", "transformers", "diffusers", "matplotlib", "sklearn", "scipy", "gudhi")
#: Of these --json is no business: they have their own tests.
#: A server has no one document to print.
WITHOUT_JSON = {"serve"}


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words."""
    group = group or typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands())


def on_terminal(shell: Shell, *arguments: str, **variables: str) -> str:
    """What a command shows on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "panic_assets.cli", *arguments],
        cwd=shell.place,
        env=shell.environment(COLUMNS="80", TERM="xterm", **variables),
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            some = os.read(leader, 65536)
        except OSError:
            break
        if not some:
            break
        seen += some
    os.close(leader)
    process.wait(60)
    return seen.decode()


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_begins_with_a_sentence_and_fits(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = CliRunner().invoke(cli.app, [*words, "--help"])
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80
    first = (ALL[words].help or "").split("\n")[0]
    assert re.fullmatch(r"[A-Z].{10,108}[.]", first), first
    assert ALL[words].params


def test_the_help_names_every_command_in_its_panel() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    for panel in ("Run", "Studies", "Look", "Keep", "Models"):
        assert f"─ {panel} ─" in shown
    for words in ALL:
        assert re.search(rf"│ {words[0]}\s", shown), words


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_json(words: tuple[str, ...]) -> None:
    options = {option for parameter in ALL[words].params for option in parameter.opts}
    assert ("--json" in options) == (" ".join(words) not in WITHOUT_JSON)


def test_version() -> None:
    assert re.fullmatch(r"panic \d+\.\d+\.\d+\n", CliRunner().invoke(cli.app, ["--version"]).output)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lst"], "Did you mean 'list'?"),
        (["list", "--jsn"], "--json"),
        (["models", "shw"], "Did you mean 'show'?"),
        (["plan"], "Missing argument 'FILE'"),
    ],
)
def test_a_slip_of_the_finger_is_told_with_what_is_near(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


def test_a_described_problem_is_printed_without_a_trace(shell: Shell) -> None:
    done = shell("panic_assets.cli", "models", "show", "TinyScene")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: there is no model 'TinyScene'; did you mean TinyScenes")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["list"], ["models", "list"], ["sql", "--csv", "FROM range(3000000)"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str], shell: Shell) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "panic_assets.cli", *arguments],
        cwd=shell.place,
        env=shell.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close() if arguments == ["list"] else process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    # The list of models may have fitted into the pipe before its reader went; millions of rows never do.
    assert process.returncode in ((0, 1, 141) if arguments == ["models", "list"] else (1, 141))


def test_colours_are_for_terminals_and_can_be_switched_off(shell: Shell) -> None:
    coloured = on_terminal(shell, "list")
    assert "\x1b[" in coloured
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in coloured.splitlines()) <= 80
    assert "\x1b[3" not in on_terminal(shell, "list", NO_COLOR="1")
    assert "\x1b" not in shell("panic_assets.cli", "list").stdout
    assert "\x1b" not in shell("panic_assets.cli", "status", "smoke").stdout


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["list", "--json"], ["status", "smoke"], ["show", "smoke"], ["show", "smoke/0"]],
    ids=" ".join,
)
def test_looking_imports_nothing_heavy(arguments: list[str], shell: Shell) -> None:
    code = (
        "import sys\nfrom panic_assets.cli import main\nsys.argv = ['panic', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=shell.place,
        env=shell.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
    if "--json" in arguments:
        assert json.loads(done.stdout)


def test_the_shell_completes_names(shell: Shell) -> None:
    def completed(words: str) -> set[str]:
        code = (
            "import sys\nfrom panic_assets.cli import main\nsys.argv = ['panic']\n"
            "try:\n    main()\nexcept SystemExit:\n    pass\n"
            f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
        )
        variables = {"_PANIC_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=shell.place,
            env=shell.environment(**variables),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == "[]\n"
        return set(done.stdout.split())

    assert completed("panic show smo") == {"smoke"}
    assert completed("panic export images smo") == {"smoke"}
    assert completed("panic models show TinyC") >= {"TinyCaption", "TinyCLIP"}
    assert completed("panic st") == {"status", "study"}
