"""Data in the package: the embedded model, six short abstracts to try it on, a graph to try a processor.

The abstracts were written for this project and report no real study.
"""

from __future__ import annotations

from importlib.resources import files

from openmed_ner.text import Document


def read_overflow_graph() -> bytes:
    """Return a graph that adds up 127 times ``inputs``, uint8 ``(8, 4)``, to ``sums``, ``(8, 16)``."""
    return (files("openmed_ner") / "data" / "overflow.onnx").read_bytes()


def read_examples() -> list[Document]:
    """Return the example abstracts, in order of their names."""
    folder = files("openmed_ner") / "data" / "examples"
    paths = sorted(
        (path for path in folder.iterdir() if path.name.endswith(".txt")), key=lambda path: path.name
    )
    return [Document(path.name.removesuffix(".txt"), path.read_bytes().decode("utf-8")) for path in paths]
