"""What people and models wrote, as harmless HTML.

Here belong the two ways of showing Markdown on pages that the server draws; screens have their own, in words.js.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

from markupsafe import Markup

_TABLES = ("table", "thead", "tbody", "tr", "th", "td")
_BLOCKS = frozenset(
    (*_TABLES, *(f"h{level}" for level in range(1, 7)), "p", "br", "hr", "em", "strong", "code", "pre", "blockquote")
).union(("ul", "ol", "li", "del"))
_LONGEST = 20_000


def described(text: str) -> Markup:
    """A description by an operator: Markdown with links, without pictures (they would be fetched from elsewhere)."""
    import nh3

    html = _parser(with_links=True).render(text[:_LONGEST])
    attributes: dict[str, set[str]] = {"a": {"href"}}
    clean = nh3.clean(
        html,
        tags=set(_BLOCKS | {"a"}),
        attributes=attributes,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(clean)


def caption(text: str) -> Markup:
    """What a model wrote: Markdown whose links and pictures are only their words."""
    import nh3

    clean = nh3.clean(_parser(with_links=False).render(text[:_LONGEST]), tags=set(_BLOCKS), attributes={})
    return Markup(clean)


@cache
def _parser(with_links: bool) -> Any:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _words_of)
    if not with_links:
        for part in ("link_open", "link_close"):
            parser.add_render_rule(part, _nothing)
    return parser


def _words_of(_renderer: Any, tokens: Any, index: int, _options: Any, _around: Any) -> str:
    return escape(tokens[index].content)


def _nothing(*_given: Any) -> str:
    return ""
