"""Write every table of the README and the docs from the files under results/.

    python tools/write_tables.py

A table lies between ``<!-- table: NAME -->`` and ``<!-- end -->`` and is replaced. A test fails if a page
and its results disagree.
"""

from __future__ import annotations

import re

from tables import TABLES
from tables.common import ROOT, read

from openmed_ner.plots import plot_bench

PAGES = (
    "README.md",
    "docs/performance.md",
    "docs/rest.md",
    "docs/scale.md",
    "docs/spacy.md",
    "docs/corpora.md",
    "docs/enrich.md",
    "docs/evaluation.md",
    "docs/identifiers.md",
    "docs/notes.md",
    "docs/scores.md",
    "docs/passages.md",
    "docs/pretraining.md",
    "docs/reproduce.md",
    "docs/train.md",
)
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str) -> str:
    """Fill every table of a page; one without a results file says so."""

    def fill(match: re.Match[str]) -> str:
        try:
            table = TABLES[match[2]]()
        except FileNotFoundError:
            table = "Not measured yet."
        return f"{match[1]}{table}\n{match[3]}"

    return BLOCK.sub(fill, page)


def main() -> None:
    """Rewrite the pages and draw their figures."""
    bundles = read("bench")["bundles"]
    plot_bench(bundles, ROOT / "docs/assets/f1-energy.svg", axis="energy")
    plot_bench(bundles, ROOT / "docs/assets/f1-speed.svg")
    for page in PAGES:
        path = ROOT / page
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
