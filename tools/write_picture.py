"""Draw the page that ``tag --to html`` writes as a small SVG, for the README.

    openmed-ner tag note.txt --add context --to html | python tools/write_picture.py -o example.svg

Text, colours and lines of attributes are those of the page. Under each mention stands its type, which the
page shows when the pointer is on it. Letters have a fixed width, so that every viewer draws the same.
"""

from __future__ import annotations

import argparse
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

LETTER = 8.4
"""Width of a letter of the font, in pixels."""
LINE, MARGIN = 44, 18
"""Height of a line with its types, and margin of the picture, in pixels."""
COLUMNS = 88
"""Letters in a line."""
_HUE = re.compile(r"hsl\((\d+)")
_CONTEXT = re.compile("negated|family|historical|hypothetical")


class Piece(NamedTuple):
    """A piece of text.

    Attributes:
        text: the text.
        hue: hue of its colour; ``None`` outside of mentions.
        title: type of the mention, with its attributes.
        line: line of an attribute in CSS, such as ``line-through``.
    """

    text: str
    hue: int | None = None
    title: str = ""
    line: str = ""


class _Page(HTMLParser):
    """Collects the pieces of the first document of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[Piece] = []
        self._is_text = self._is_done = self._is_label = False
        self._mark: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_text |= tag == "p" and not self._is_done
        self._is_label |= tag == "sub"
        if tag == "mark":
            self._mark = dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "sub":
            self._is_label = False
        if tag == "mark":
            self._mark = None
        if tag == "p":
            self._is_text, self._is_done = False, True

    def handle_data(self, data: str) -> None:
        if not self._is_text or self._is_label:
            return
        if self._mark is None:
            self.pieces.append(Piece(data))
            return
        style = self._mark.get("style") or ""
        hue = _HUE.search(style)
        line = style.partition("text-decoration:")[2].partition(";")[0]
        self.pieces.append(
            Piece(data, int(hue[1]) if hue else 0, _title(self._mark.get("title") or ""), line)
        )


def _title(title: str) -> str:
    """Keep types and context of ``Anatomy (anatem, 0.9); Disease (ncbi-disease, 0.84, negated)``."""
    spans = [span.partition(" (") for span in title.split("; ")]
    words = [word for _, _, details in spans for word in _CONTEXT.findall(details)]
    return " ".join([", ".join(dict.fromkeys(label for label, _, _ in spans)), *dict.fromkeys(words)])


def read_pieces(page: str) -> list[Piece]:
    """Read the pieces of the first document of a page."""
    parser = _Page()
    parser.feed(page)
    parser.close()
    return parser.pieces


def draw(pieces: list[Piece]) -> str:
    """Draw pieces in lines, broken at blanks and line ends."""
    parts, column, row = [], 0, 0
    for piece in pieces:
        words = re.findall(r"\n|[^\S\n]+|\S+", piece.text) if piece.hue is None else [piece.text]
        for word in words:
            if word == "\n" or column + len(word) > COLUMNS:
                column, row = 0, row + 1
                if word.isspace():
                    continue
            x, y = MARGIN + column * LETTER, MARGIN + 16 + row * LINE
            parts.append(_draw_word(word, piece, x, y))
            column += len(word)
    width, height = 2 * MARGIN + COLUMNS * LETTER, 2 * MARGIN + (row + 1) * LINE - 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="ui-monospace, Consolas, Menlo, monospace" font-size="14">\n'
        f"<title>{escape(''.join(piece.text for piece in pieces))}</title>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#fff" stroke="#d9dedb"/>\n{"".join(parts)}</svg>\n'
    )


def _draw_word(word: str, piece: Piece, x: float, y: int) -> str:
    if word.isspace():
        return ""
    width = len(word) * LETTER
    size = f'textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"'
    line = f' text-decoration="{piece.line.split()[0]}"' if piece.line else ""
    text = f'<text x="{x:.1f}" y="{y}" {size} fill="#1c2528"{line}>{escape(word)}</text>\n'
    if piece.hue is None:
        return text
    return (
        f'<rect x="{x - 2:.1f}" y="{y - 15}" width="{width + 4:.1f}" height="20" rx="4" '
        f'fill="hsl({piece.hue} 80% 60% / .3)"/>\n{text}'
        f'<text x="{x:.1f}" y="{y + 17}" font-size="10" fill="#52605f">{escape(piece.title)}</text>\n'
    )


def main() -> None:
    """Read a page from standard input and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.write_text(draw(read_pieces(sys.stdin.read())), encoding="utf-8")


if __name__ == "__main__":
    main()
