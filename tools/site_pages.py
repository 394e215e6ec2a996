"""Put the pages of the repository's root on the documentation site.

MkDocs reads one folder, and a reader of the repository expects CONTRIBUTING.md at its root. This hook of
MkDocs shows such files on the site, so nothing is written twice. The files have links of the
repository: links to pages are rewritten for the site, and links to other files become plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT_PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "EXPERIMENTS.md": "experiments.md",
}
LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the root's pages to those of the folder."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).parent
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page for the site."""
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, page: str) -> str:
    """Rewrite the links of a page.

    Args:
        markdown: content of the page.
        page: path of the page on the site.
    """
    source = {place: name for name, place in ROOT_PAGES.items()}.get(page, f"docs/{page}")

    def rewrite(match: re.Match[str]) -> str:
        text, link, anchor = match[1], match[2], match[3] or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        place = {**ROOT_PAGES, "README.md": "index.md"}.get(target, target.removeprefix("docs/"))
        if place == target:  # neither a page of the root nor below docs/
            return text
        return f"[{text}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{anchor})"

    return LINK.sub(rewrite, markdown)
