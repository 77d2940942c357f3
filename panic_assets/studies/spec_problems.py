"""What is wrong with a study file, in sentences that name the field, the value and what would be right.

Here belongs turning pydantic's errors into such sentences. What is checked is told by ``spec`` and ``spec_sections``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

from panic_assets.written import FileProblems

_MESSAGES = {
    "missing": "is missing",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of fields to values",
    "model_attributes_type": "must be a mapping of fields to values",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "too_short": "must not be empty",
}
"""What is wrong, by pydantic's kind of error, where its own words are those of a programmer."""


class SpecError(FileProblems):
    """A study that can't be run as written."""


def sentence(error: Mapping[str, Any], file: type[BaseModel]) -> str:
    """One of pydantic's errors about a ``file`` as field, value and remedy."""
    place = ""
    for part in error["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    kind = error["type"]
    if kind == "missing":
        return f"{place}: is missing"
    if kind == "extra_forbidden":
        return f"{place}: is not a field; {_fields_hint(error['loc'], file)}"
    own = str(error["msg"])
    if kind == "value_error":
        message = own.removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    shown = json.dumps(error["input"], default=str, ensure_ascii=False)[:80]
    message = _MESSAGES.get(kind, own.replace("Input should", "must"))
    return f"{place}: {shown.encode(errors='backslashreplace').decode()} {message}"


def _fields_hint(place: Sequence[int | str], file: type[BaseModel]) -> str:
    """Fields that the section at ``place`` has, the nearest alone where one is near."""
    section = file
    for part in place[:-1]:
        if part in section.model_fields:
            section = _section(section.model_fields[str(part)].annotation) or section
    fields = list(section.model_fields)
    near = get_close_matches(str(place[-1]), fields, n=1)
    return f"did you mean {near[0]}?" if near else f"use {', '.join(fields)}"


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model within an annotation such as ``dict[str, Model]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)
