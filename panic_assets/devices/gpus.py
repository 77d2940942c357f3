"""GPUs as data: how much memory one has that may not be here, and which ones are.

Here belong looking a name up and asking the driver, neither of which loads torch. What a plan makes of the memory is
the loop's business; which GPUs torch can use is that of ``hardware``.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import yaml

from panic_assets.errors import PanicError

_ASKING_SECONDS = 20.0
_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU. ``product``: the driver's name for it; ``memory_gb``: GiB; ``source``: where that was read."""

    name: str
    product: str
    memory_gb: float
    source: str


@cache
def known_gpus() -> dict[str, Gpu]:
    """The kinds that ``gpus.yaml`` lists, by name."""
    content = yaml.safe_load(Path(__file__).with_name("gpus.yaml").read_text(encoding="utf-8"))
    return {row["name"]: Gpu(**row) for row in content["gpus"]}


def find_gpu(name: str) -> Gpu:
    """The kind of that name; capitals, spaces, hyphens and the maker's name don't matter.

    Raises:
        PanicError: no such kind is listed; the message names near ones.
    """
    names = {_plain(gpu.name): gpu for gpu in known_gpus().values()}
    names |= {_plain(gpu.product): gpu for gpu in known_gpus().values()}
    if _plain(name) in names:
        return names[_plain(name)]
    near = [names[match].name for match in get_close_matches(_plain(name), names, n=3, cutoff=0.5)]
    listed = " or ".join(dict.fromkeys(near)) if near else ", ".join(known_gpus())
    raise PanicError(
        f"--gpu {name!r} is not listed; {'did you mean' if near else 'there are'} {listed}"
        f"{'?' if near else ''} --memory GB does for any other"
    )


def gpus_here() -> list[Gpu]:
    """NVIDIA's GPUs of this machine, as its driver tells; none where there is no such driver."""
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_ASKING_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.rsplit(",", 1) for line in done.stdout.splitlines()] if done.returncode == 0 else []
    return [
        Gpu(row[0].strip(), row[0].strip(), int(row[1]) / 1024, "its driver")
        for row in rows
        if len(row) == 2 and row[1].strip().isdigit()
    ]


def _plain(name: str) -> str:
    return re.sub(r"nvidia|geforce|[^a-z0-9]", "", name.lower())
