"""``panic serve`` and ``panic live``: live networks in front of an audience, and keeping what they remember.

Here belong arguments, questions and printing; the server is in ``web``, what it runs in ``live``.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, print_json
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    from panic_assets.live.demo import Demo
    from panic_assets.live.store import Store
    from panic_assets.web.settings import Settings

live_app = typer.Typer(no_args_is_help=True, help="Keep what live networks remember; see also `panic serve`.")
#: Modules of the extra ``live``; without one of them nothing here works.
_NEEDED = (
    *("alembic", "argon2", "cryptography", "fastapi", "fsspec", "itsdangerous", "markdown_it", "nh3", "pwdlib"),
    *("python_multipart", "segno", "sqlalchemy", "sse_starlette", "uvicorn"),
)
Email = Annotated[str, typer.Argument(help="Address that the person signs in with.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it, once.")]


class NotReady(PanicError):
    """The server can't be started like this."""


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for every computer that reaches this one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8080,
    demo: Annotated[
        bool, typer.Option("--demo", help="Begin with a network of the bundled models and screens that follow it.")
    ] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the demo's terminal.")] = True,
) -> None:
    """Serve live networks: people prompt, rings of models run, screens follow.

    Ctrl-C stops the server; runs go on at the next start. Settings are variables named PANIC_LIVE_*: see docs/live.md.
    """
    settings = _settings()
    with _store(settings) as store:
        made = _demo(store) if demo else None
        _check_exposure(settings, store, host)
        settings.signing_key()
    listening = _listen(host, port)
    base = settings.public_url or f"http://{_shown(host)}:{listening.getsockname()[1]}"
    print(f"live networks: {base}")
    if made is not None:
        address = _tell_demo(settings, made, base)
        if browser:
            import webbrowser

            webbrowser.open(address)
    print("Ctrl-C stops the server", flush=True)
    _run(settings, listening, host)


@live_app.command("create-user")
def create_user(
    email: Email,
    admin: Annotated[bool, typer.Option("--admin", help="May also keep keys, accounts and backups.")] = False,
    generate: Generate = False,
    as_json: AsJson = False,
) -> None:
    """Make an account for somebody who operates networks. The password is asked for, or read from stdin."""
    with _store(_settings()) as store:
        password = _password(generate)
        store.create_user(email, _hashed(password), is_admin=admin)
        store.audit("command line", "user.create", email, {"is_admin": admin})
    if as_json:
        print_json({"email": email, "is_admin": admin, "password": password if generate else None})
    else:
        print(f"{email} may sign in" + (f" with the password {password}" if generate else ""))


@live_app.command("set-password")
def set_password(email: Email, generate: Generate = False, as_json: AsJson = False) -> None:
    """Give somebody another password. Whoever is signed in with the old one is signed out."""
    with _store(_settings()) as store:
        user = store.user_by_email(email)
        if user is None:
            known = ", ".join(user.email for user in store.users()) or "none"
            raise PanicError(f"there is no account of {email}; there are: {known}")
        password = _password(generate)
        store.set_password(user.id, _hashed(password))
        store.audit("command line", "user.password", email)
    if as_json:
        print_json({"email": email, "password": password if generate else None})
    else:
        print(f"{email} may sign in with the new password" + (f", {password}" if generate else ""))


@live_app.command()
def ingest(
    running: Annotated[bool, typer.Option("--running", help="Take runs that go on, too, as far as they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring live runs into the lake now. Dagster does the same by itself whenever one ends."""
    from panic_assets.defs.live import ingest_here, is_there

    settings = _settings()
    if not is_there(settings):
        raise PanicError(f"{settings.database}: there is no live store; `panic serve` makes one")
    done = ingest_here(settings, running)
    if as_json:
        print_json(done)
        return
    for sentence in done.skipped:
        print(f"warning: {sentence}", file=sys.stderr)
    if not done.experiments:
        print("nothing new: the lake is as it was")
    for key in done.experiments:
        print(f"{key}: panic run {key}")
    if done.experiments:
        print(f"new runs: {done.runs}, new invocations: {done.invocations}")


@live_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet.")], as_json: AsJson = False
) -> None:
    """Copy the live store to a file, while the server works. Pictures and sounds are not in it."""
    settings = _settings()
    with _store(settings) as store:
        done = store.backup_to(file)
        store.audit("command line", "backup", str(done))
    if as_json:
        print_json({"file": done, "bytes": done.stat().st_size, "archive": settings.archive})
        return
    print(f"{done}: {done.stat().st_size:,} bytes; only you may read it, as it holds hashes of passwords")
    print(f"pictures and sounds are in {settings.archive}; copy that, too")


@live_app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `panic live backup` made.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the live store, while no server works on it. Everybody is signed out."""
    from panic_assets.live.store import check_database

    problems = check_database(file)
    if problems:
        raise PanicError(f"not restored: {'; '.join(problems)}")
    settings = _settings()
    with _store(settings) as store:
        runs = store.count_ended() + len(store.running_runs())
        networks = len(store.networks())
        what = f"networks: {networks}, runs: {runs}"
        if not yes:
            raise NotReady(f"{store.place} ({what}) would be replaced; add --yes")
        store.restore_from(file)
        store.audit("command line", "restore", str(file))
    if as_json:
        print_json({"file": file, "replaced": {"networks": networks, "runs": runs}})
    else:
        print(f"restored from {file}; replaced: {what}")


def _settings() -> Settings:
    """The settings of this process.

    Raises:
        NotReady: the extra is not installed.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise NotReady(
            f"live networks need more packages ({', '.join(missing)} and others): "
            "pip install 'panic-assets[live]', or make install"
        )
    from panic_assets.web.settings import Settings

    return Settings.from_environment(data=paths.data_dir())


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    from panic_assets.live.store import Store

    store = Store(settings.database)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def _hashed(password: str) -> str:
    import asyncio

    from panic_assets.web.security.passwords import Passwords

    async def hashed() -> str:
        return await Passwords().hashed(password)

    return asyncio.run(hashed())


def _password(generate: bool) -> str:
    if generate:
        import secrets

        return secrets.token_urlsafe(12)
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def _demo(store: Store) -> Demo:
    from panic_assets.live.demo import make_demo

    return make_demo(store, _hashed)


def _tell_demo(settings: Settings, made: Demo, base: str) -> str:
    """Print where everything is; the address of the terminal."""
    from panic_assets.live.clock import SystemClock
    from panic_assets.live.demo import OPERATOR
    from panic_assets.web.security.signing import Signer

    token, _ = Signer(settings.signing_key(), SystemClock()).terminal(made.network.id, settings.terminal_seconds)
    address = f"{base}/networks/{made.network.id}/terminal?token={token}"
    if made.password is not None:
        print(f"operator: {OPERATOR}, password {made.password} (told only now; `panic live set-password` changes it)")
    print(f"terminal (for {settings.terminal_seconds // 60} minutes): {address}")
    for watcher in made.installation.watchers:
        print(f"screen {watcher.name}: {base}/watch/{made.installation.id}/{watcher.name}")
    return address


def _check_exposure(settings: Settings, store: Store, host: str) -> None:
    """Do nothing if other computers may reach what is served at ``host``.

    Raises:
        NotReady: nobody could operate it, or its tokens would be signed with a key that was made in passing.
    """
    if _is_loopback(host):
        return
    if not store.users():
        raise NotReady(
            f"{host} can be reached from other computers, and there is no account yet; "
            "make one first: panic live create-user you@example.org --admin"
        )
    if not settings.secret_key and not (settings.folder / "secret.key").is_file():
        raise NotReady(
            f"{host} can be reached from other computers, and there is no secret key; set PANIC_LIVE_SECRET_KEY to "
            "what python -c 'import secrets; print(secrets.token_urlsafe(48))' prints, and keep it"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    """An address to type: that of this computer where it listens at all of them."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise NotReady(
            f"can't listen at {host}, port {port}: {error.strerror or error}; is another server running? "
            "--port 0 takes a free port"
        ) from error


def _run(settings: Settings, listening: socket.socket, host: str) -> None:
    from panic_assets.web.app import create_app
    from panic_assets.web.serving import server_of

    server = server_of(create_app(settings), host, listening.getsockname()[1], log_level="warning")
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    if not server.started:
        raise NotReady("the server could not start; the reason is above")
    print("stopped; runs that went on go on at the next start")
