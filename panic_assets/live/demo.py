"""The demo: a network of the bundled models with an installation, and somebody who may operate them.

Here belongs making them once; what they are says ``demo.yaml`` beside this file.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from panic_assets.live.displays import check_watchers
from panic_assets.live.records import Installation, Network, Pacing, Watcher
from panic_assets.live.store import BadValue, Store

SHIPPED = Path(__file__).with_name("demo.yaml")
OPERATOR = "operator@demo.local"


@dataclass(frozen=True)
class Demo:
    """What the demo consists of. ``password`` is that of a new operator; None where there was somebody before."""

    network: Network
    installation: Installation
    password: str | None


def make_demo(store: Store, hashed: Callable[[str], str], file: Path = SHIPPED) -> Demo:
    """Make what is missing of it; what is there, perhaps changed meanwhile, stays.

    Args:
        store: a migrated one.
        hashed: what is stored of a password.
        file: what it consists of.

    Raises:
        BadValue: the file holds what can't be.
    """
    asked = yaml.safe_load(file.read_text(encoding="utf-8"))
    password = None
    if not store.users():
        password = secrets.token_urlsafe(12)
        store.create_user(OPERATOR, hashed(password), is_admin=True)
    owner = store.users()[0].id
    called = asked["network"]["name"]
    network = next((known for known in store.networks() if known.name == called), None)
    if network is None:
        pacing = Pacing(**asked["network"].pop("pacing"))
        network = store.create_network(**asked["network"], pacing=pacing, owner_id=owner)
    wall = asked["installation"]
    installation = next((known for known in store.installations() if known.name == wall["name"]), None)
    if installation is None:
        watchers = tuple(Watcher(**{**given, "offsets": tuple(given.get("offsets", ()))}) for given in wall["watchers"])
        if problems := check_watchers(watchers):
            raise BadValue("watchers", str(file), "; ".join(problems))
        installation = store.create_installation(
            wall["name"], network.id, watchers=watchers, is_public=wall["is_public"], owner_id=owner
        )
    return Demo(network, installation, password)
