"""Identities: blake2b-128 over canonical JSON, and the noise numbers of unseeded runs.

An id is a function of content alone, so that computing the same thing twice gives equal rows. Outputs and floats that
came out of a model never enter an id.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from panic_assets.experiment import UNSEEDED


def content_id(content: Any) -> bytes:
    """16 bytes that identify plain JSON values: keys sorted, no spaces, UTF-8."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return blake2b(canonical.encode(), digest_size=16).digest()


def invocation_id(run_id: bytes, sequence_number: int) -> bytes:
    """16 bytes that identify one invocation of a run."""
    return blake2b(run_id + sequence_number.to_bytes(8, "little"), digest_size=16).digest()


def noise_number(run_id: bytes, seed: int, sequence_number: int) -> int:
    """The number that seeds one invocation, in 0 .. 2^63-1.

    A seeded run uses its seed unchanged at every invocation, which makes the run a deterministic map. An unseeded run
    uses a fresh number each time; being drawn from the identity of the run, it can be replayed and survives a restart.
    """
    if seed != UNSEEDED:
        return seed
    digest = blake2b(run_id + b"noise" + sequence_number.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
