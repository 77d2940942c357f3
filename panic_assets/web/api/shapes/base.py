"""What all shapes share.

Here belong the base and the kinds of words.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class Shape(BaseModel):
    """What comes in may have no fields but these."""

    model_config = ConfigDict(extra="forbid")
