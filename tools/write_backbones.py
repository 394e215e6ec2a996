"""Write the tables of docs/backbones.md from the code.

    python tools/write_backbones.py

A table stands between ``<!-- NAME -->`` and ``<!-- end -->``; a test fails when one is stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from markdown_parts import code, table

PAGE = Path(__file__).resolve().parents[1] / "docs/backbones.md"
BLOCK = re.compile(r"(<!-- (backbones|sizes|architectures) -->\n).*?(<!-- end -->)", re.DOTALL)
RANK, HEADS, TAGS = 16, 13, 5
WINDOW = 256


def backbones() -> str:
    """Every row with its source."""
    from openmed_ner.model.backbones import BACKBONES

    header = ("backbone", "hub id", "commit", "licence", "SHA-256 known", "weights there", "case")
    return table(
        header,
        (
            (
                code(name),
                code(row.hub_id) if row.hub_id else "none known",
                code(row.revision[:12]) if row.revision else "not pinned",
                row.licence,
                "yes" if row.sha256 else "no",
                "safetensors" if row.safetensors else "pickled" if row.revision else "not known",
                "cased" if row.cased else "uncased",
            )
            for name, row in BACKBONES.items()
        ),
    )


def sizes() -> str:
    """Every row with its size and operations in closed form."""
    from openmed_ner.model.backbones import BACKBONES

    header = (
        "backbone",
        "architecture",
        "layers x hidden",
        "vocabulary",
        "reads at most",
        "parameters",
        "LoRA on query and value",
        "trained in all",
        "MFLOP per subword: tagging, LoRA, full",
    )
    rows = []
    for name, row in BACKBONES.items():
        shape = row.shape
        arithmetic = (shape.flops(WINDOW, trained=part) / 1e6 for part in ("nothing", "lora", "all"))
        cells = (
            code(name),
            code(shape.architecture),
            f"{shape.layers} x {shape.hidden}",
            f"{shape.vocabulary:,}",
            str(row.longest),
            f"{shape.n_parameters:,}",
            f"{shape.lora_parameters(RANK):,}",
            f"{100 * shape.trained_share(RANK, n_tags=HEADS * TAGS):.2f} %",
            ", ".join(f"{value:,.0f}" for value in arithmetic),
        )
        rows.append(cells)
    return table(header, rows)


def architectures() -> str:
    """Differences between architectures."""
    from openmed_ner.model.architectures import ARCHITECTURES

    header = ("architecture", "query and value", "masked-language head", "subwords", "attention", "16 bits")
    return table(
        header,
        (
            (
                code(name),
                ", ".join(map(code, row.query_value)),
                ", ".join(map(code, row.lm_head)),
                row.subwords,
                ", ".join(row.attentions),
                ", ".join(row.halves),
            )
            for name, row in ARCHITECTURES.items()
        ),
    )


TABLES: Mapping[str, Callable[[], str]] = {
    "backbones": backbones,
    "sizes": sizes,
    "architectures": architectures,
}


def render(text: str) -> str:
    """The page with tables made from the code."""
    return BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", text)


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
