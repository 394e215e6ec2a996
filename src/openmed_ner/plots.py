"""Figures as SVG or PNG, with the same bytes for the same data on every machine.

Matplotlib's configuration on the machine is ignored, and no display is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from openmed_ner.errors import InputError, require_extra
from openmed_ner.storage import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BenchAxis = Literal["speed", "energy"]
MARGIN = 2.0
"""Points of F1 above and below the values; less would magnify differences without meaning."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Colours for colour-blind readers (Okabe and Ito 2008), without their yellow, too faint on white."""
_RC: dict[Any, Any] = {
    "svg.hashsalt": "openmed-ner",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def save_figure(draw: Callable[[Axes], object], target: Path) -> None:
    """Draw a figure into a file, in one move.

    Args:
        draw: function that draws on the axes.
        target: file to write; its suffix decides the format.

    Raises:
        InputError: the file has another suffix, or cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    kind = target.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise InputError(f"{target}: expected a name that ends with .svg or .png")
    matplotlib = require_extra("matplotlib", "plots")
    agg = require_extra("matplotlib.backends.backend_agg", "plots")

    content = BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        figure = require_extra("matplotlib.figure", "plots").Figure(figsize=(6.4, 4.0), layout="constrained")
        agg.FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        # Dates and versions would make the bytes differ.
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(content, format=kind, dpi=150, metadata=metadata)

    try:
        with atomic_path(target) as partial:
            partial.write_bytes(content.getvalue())
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from error


def printable(name: str) -> str:
    """Escape the characters of a name that an SVG cannot hold.

    Matplotlib omits names that begin with an underscore from a legend, unless an invisible one precedes.
    """
    escaped = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in name)
    return f"\u200b{escaped}" if escaped.startswith("_") else escaped


def bench_name(row: Mapping[str, Any]) -> str:
    """Name of a row of ``openmed-ner bench``: the bundle, its precision and its backend."""
    return f"{row['bundle']} ({row['precision']}, {row['backend']})"


def plot_bench(rows: Sequence[Mapping[str, Any]], target: Path, *, axis: BenchAxis = "speed") -> None:
    """Plot F1 against speed or energy, one point per bundle, into an SVG or a PNG.

    Args:
        rows: rows that ``openmed-ner bench --json`` prints under ``bundles``.
        target: file to write; its suffix decides the format.
        axis: ``speed`` in documents per second, or ``energy`` in watt hours.

    Raises:
        InputError: a bundle has no test scores, its energy was not measured, or the file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    points = []
    for row in rows:
        x = row["documents_per_second"] if axis == "speed" else row["energy"]["wh_per_1000_documents"]
        if x is None or row["f1"] is None:
            reason = "has no test scores, or its energy was not measured"
            raise InputError(f"{row['bundle']}: {reason}, so {target} cannot be plotted")
        points.append((x, 100 * row["f1"]))

    def draw(axes: Axes) -> None:
        for number, (row, point) in enumerate(zip(rows, points, strict=True)):
            axes.plot(*point, "o", color=COLOURS[number % len(COLOURS)], label=printable(bench_name(row)))

        axes.set_xlabel("documents per second" if axis == "speed" else "Wh per 1,000 documents")
        axes.set_ylabel("mean test F1 (strict mentions, %)")
        xs, scores = zip(*points, strict=True)
        axes.set_xlim(0, 1.2 * max(xs))
        axes.set_ylim(min(scores) - MARGIN, max(scores) + MARGIN)
        axes.legend(frameon=False)

    save_figure(draw, target)
