"""How the web room is set up, from variables of the environment named PANIC_LIVE_*.

Here belong the settings, their checks, and the secret key; what they mean is told where they are used.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from panic_assets.errors import PanicError
from panic_assets.paths import data_dir
from panic_assets.studies.events.places import events_url

PREFIX = "PANIC_LIVE_"
_DAY = 24 * 3600


class SettingsError(PanicError):
    """Settings that can't be used; the message names each variable."""


class Settings(BaseModel):
    """One server. Each field may be given as a variable: ``public_url`` as PANIC_LIVE_PUBLIC_URL; lists with commas."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(default_factory=data_dir, description="the data directory; the live room keeps to live/ in it")
    database_url: str = Field("", description="empty: sqlite, live/live.db in the data directory")
    archive_url: str = Field("", description="where media lie, any fsspec address; empty: live/media in the same")
    catalog_file: Path | None = Field(None, description="more live models, or others in place of shipped ones")
    public_url: str = Field("", pattern=r"^(https?://[^/?#\s]+)?$", description="what people type; empty: as they came")
    secret_key: str = Field("", repr=False, description="signs tokens; empty: live/secret.key, made on first use")
    trusted_proxies: tuple[str, ...] = Field((), description="networks whose X-Forwarded-For is believed")
    cookie_secure: bool | None = Field(None, description="cookies only over HTTPS; None: as public_url says")
    frame_ancestors: tuple[str, ...] = Field(
        (), description="origins that may frame watchers, such as https://a.example"
    )
    terminal_seconds: int = Field(3600, ge=1, le=30 * _DAY, description="how long a terminal may prompt")
    session_seconds: int = Field(7 * _DAY, ge=60, description="a login ends after so long without use")
    session_longest_seconds: int = Field(30 * _DAY, ge=60, description="and after so long in any case")
    body_bytes: int = Field(1024 * 1024, ge=1024, description="the largest request")
    logins_per_account: int = Field(10, ge=1, description="for an account from one address; ten times that from all")
    logins_per_address: int = Field(50, ge=1, description="from one address, for any accounts, right ones too")
    login_window_seconds: int = Field(900, ge=1)
    prompts_per_minute: int = Field(30, ge=1, description="prompts from one address; many people may share one")
    events_url: str = Field("", description="what training tells; empty: $PANIC_EVENTS_URL, else training/events.db")
    events_per_minute: int = Field(60_000, ge=1, description="training events of one token or address")
    streams_per_address: int = Field(200, ge=1, description="displays of one address that are told events at once")
    streams: int = Field(2000, ge=1, description="displays in all")
    stream_seconds: float = Field(3600.0, gt=0, description="a display comes again after so long; it loses nothing")
    heartbeat_seconds: float = Field(15.0, gt=0, description="a silent stream gives a sign of life so often")
    allow_private_addresses: bool = Field(False, description="media may be fetched from private networks")
    embeddings: tuple[str, ...] = Field(("TinyCLIP", "MiniLM"), description="what ingested runs are embedded by")
    timezone: str = Field("", description="where the day of a run ends, such as Australia/Sydney; empty: here")

    @field_validator("trusted_proxies", "frame_ancestors", "embeddings", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("frame_ancestors")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if any(letter in origin for letter in " ;,'\"\r\n") and origin != "'self'":
                raise ValueError(f"{origin!r} is no origin, such as https://gallery.example")
        return value

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """The settings of this process; ``given`` goes before variables.

        Raises:
            SettingsError: a variable has no meaning, or holds what it can't hold.
        """
        variables = os.environ if environment is None else environment
        found: dict[str, Any] = {}
        for name, value in variables.items():
            if not name.startswith(PREFIX):
                continue
            field = name.removeprefix(PREFIX).lower()
            if field not in cls.model_fields:
                near = get_close_matches(field, cls.model_fields, n=1)
                hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else "remove it"
                raise SettingsError(f"${name} is no setting of the live room; {hint}")
            found[field] = value
        try:
            return cls(**{**found, **given})
        except ValidationError as error:
            problems = "; ".join(
                f"${PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(f"the live room can't start: {problems}") from None

    @property
    def folder(self) -> Path:
        """Where the live room keeps its files."""
        return self.data.absolute() / "live"

    @property
    def database(self) -> str:
        """The address of the database."""
        return self.database_url or f"sqlite:///{self.folder / 'live.db'}"

    @property
    def events(self) -> str:
        """The address of the database of training events, the same that programs of this data directory use."""
        return self.events_url or events_url(self.data)

    @property
    def archive(self) -> str:
        """The address of the archive."""
        return self.archive_url or str(self.folder / "media")

    @property
    def secure(self) -> bool:
        """Whether cookies travel over HTTPS alone."""
        return self.public_url.startswith("https:") if self.cookie_secure is None else self.cookie_secure

    def signing_key(self) -> str:
        """What tokens are signed with; the file is made, for its owner alone, where there is none.

        Raises:
            SettingsError: the key is too short, or others may read its file.
        """
        key = self.secret_key or _kept_key(self.folder / "secret.key")
        if len(key) < 32:
            raise SettingsError(
                f"the secret key (${PREFIX}SECRET_KEY or {self.folder / 'secret.key'}) is shorter than 32 characters; "
                "python -c 'import secrets; print(secrets.token_urlsafe(48))' makes one"
            )
        return key


def _kept_key(file: Path) -> str:
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
            try:
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
                    opened.write(secrets.token_urlsafe(48))
                    opened.flush()
                    os.fsync(opened.fileno())
                os.link(part, file)  # whole or not at all; whoever comes second takes the first one's
            except FileExistsError:
                pass
            finally:
                part.unlink(missing_ok=True)
        if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise SettingsError(f"{file} may be read by others; chmod 600 it, or remove it and a new one is made")
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError(f"{file} can't be read or made ({error.strerror}); see who may write there") from None
