"""The documentation site builds without a warning, its links lead somewhere, and all it loads is its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pages import ROOT, load_tool

pytestmark = pytest.mark.slow

LOADING = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
    "link": "href",
}
"""Elements for which a browser makes a request without being asked, and the attribute that says of what."""

pytest.importorskip("material", reason="the site needs mkdocs-material")


class Page(HTMLParser):
    """What a page of the site loads, where it leads, and the places it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places.add(values.get("id", ""))
        if tag == "a":
            self.links.append(values.get("href", ""))
        if LOADING.get(tag) in values and values.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(values[LOADING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site, built as strictly as can be."""
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: what is not shown would not count as a warning.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # an advertisement of the theme
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert not built.returncode, built.stderr
    assert "WARNING" not in built.stderr
    return {path: Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}


def test_every_page_is_there(site: dict[Path, Page]) -> None:
    built = {path.stem for path in site}
    pages = {path.stem for path in (ROOT / "docs").rglob("*.md")}
    assert pages | {"contributing", "experiments", "changelog"} <= built


def test_links_and_anchors_lead_somewhere(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        if path.name == "404.html":
            continue  # its links begin at the root of wherever the site is served
        for link in page.links:
            parts = urlsplit(link)
            if not parts.scheme:
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                target = target / "index.html" if target.is_dir() else target
                assert target in site, f"{path.name}: {link}"
                assert unquote(parts.fragment) in site[target].places | {""}, f"{path.name}: {link}"


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]) -> None:
    folder = next(path for path in site if path.name == "index.html").parent
    for path, page in site.items():
        assert not [each for each in page.loads if urlsplit(each).netloc], path.name
        assert 'class="mermaid"' not in path.read_text(encoding="utf-8")  # the theme would fetch a library
    for style in folder.rglob("*.css"):
        assert not re.findall(r"url\(['\"]?(?:https?:)?//|@import", style.read_text(encoding="utf-8"))


def test_code_and_tables_are_shown_as_such(site: dict[Path, Page]) -> None:
    """No page shows what Markdown did not understand: table rows, fences or comments."""
    for path in site:
        text = path.read_text(encoding="utf-8")
        prose = re.sub(r"<(script|code|pre)\b.*?</\1>|<!--.*?-->", "", text, flags=re.DOTALL)
        assert not re.search(r"^\s*(<p>)?(\|.*\||```)", prose, re.MULTILINE), path.name


@pytest.mark.parametrize(
    ("page", "link", "on_site"),
    [
        ("tag.md", "[a](formats.md#csv)", "[a](formats.md#csv)"),
        ("tag.md", "[a](../EXPERIMENTS.md)", "[a](experiments.md)"),
        ("tag.md", "[`a`](../src/openmed_ner/errors.py)", "`a`"),
        ("reference/cli.md", "[a](../tag.md)", "[a](../tag.md)"),
        ("contributing.md", "[a](docs/tag.md#files)", "[a](tag.md#files)"),
        ("experiments.md", "[a](https://example.org/a.md)", "[a](https://example.org/a.md)"),
    ],
)
def test_links_of_the_repository_become_those_of_the_site(page: str, link: str, on_site: str) -> None:
    assert load_tool("site_pages").site_links(link, page) == on_site
