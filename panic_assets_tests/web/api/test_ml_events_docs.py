"""The examples of the documentation are run as they stand, against a server, and answer what is said of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from panic_assets_tests.web.server import running

DOCS = Path(__file__).parents[3] / "docs" / "studies-events.md"


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed")
def test_the_examples_of_the_documentation(tmp_path, monkeypatch):
    monkeypatch.setenv("PANIC_ML_EVENTS_SECRET", "a secret that both sides know")
    monkeypatch.delenv("PANIC_EVENTS_URL", raising=False)
    blocks = re.findall(r"```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    with running(tmp_path) as server:
        user = server.account("ada@example.org")
        tokens = {
            name: server.program(user, scope).headers["Authorization"].removeprefix("Bearer ")
            for name, scope in (("TOKEN", "train"), ("OPERATOR_TOKEN", "operate"))
        }
        # Each answer on a line of its own.
        script = re.sub(r"(?m)^(send |curl )", r"echo; \1", "set -eu\n" + "\n".join(blocks))
        ran = subprocess.run(
            ["bash", "-c", script],
            env={**os.environ, **tokens, "PANIC_URL": server.url},
            capture_output=True,
            text=True,
            check=True,
        )
        answers = [json.loads(line) for line in ran.stdout.splitlines() if line.strip()]
        statuses = [answer.get("status") for answer in answers]
        assert statuses[:5] == ["accepted"] * 5
        assert [answers[5][count] for count in ("accepted", "duplicates", "dead")] == [1, 0, 1]
        assert (answers[6]["status"], answers[6]["error"]) == (400, "unknown_event_type")
        assert [letter["trial_id"] for letter in answers[7]["letters"]] == ["trial-9"]
        assert answers[8]["dead"] == 1
        trial = server.live.events.trial("trial-2", "external")
        assert (trial.state, trial.error_type, trial.parameters) == ("completed", "nan_loss", {"layers": 2})
        assert server.live.events.trial("trial-1").spectral_norm is True
