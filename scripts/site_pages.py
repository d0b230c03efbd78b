"""What the site's pages have that the repository's do not need.

A link to a file of the project that is no page becomes the file's name: the site holds pages only.
One to a file that is not there is an error, as any other broken link. The page of decisions lists
them all.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
OUTSIDE = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?:\.\./)+(?!\.\./)[^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_more: Any) -> str:
    """Called by MkDocs for every page."""
    here = DOCS / page.file.src_uri

    def named(link: re.Match[str]) -> str:
        place = (here.parent / link["target"]).resolve()
        if place.is_relative_to(DOCS):
            return link[0]
        if not place.exists():
            raise PluginError(f"{page.file.src_uri}: {link['target']} is not in the project")
        return f"{link['text']} (`{place.relative_to(PROJECT)}`)"

    if page.file.src_uri == "adr/index.md":
        markdown += "".join(f"\n- {decision}" for decision in decisions())
    return OUTSIDE.sub(named, markdown)


def decisions() -> list[str]:
    """The newest first: day, title and link."""
    pages = sorted((DOCS / "adr").glob("2*.md"), reverse=True)
    titles = [p.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for p in pages]
    return [f"{p.name[:10]} [{title}]({p.name})" for p, title in zip(pages, titles, strict=True)]
