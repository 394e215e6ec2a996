"""Six short abstracts written for this project, to try a model on. They report no real study."""

from __future__ import annotations

from importlib.resources import files

from openmed_ner.text import Document


def read_examples() -> list[Document]:
    """Return the example abstracts, in order of their names."""
    folder = files("openmed_ner") / "data" / "examples"
    texts = sorted(
        (each for each in folder.iterdir() if each.name.endswith(".txt")), key=lambda each: each.name
    )
    return [Document(each.name.removesuffix(".txt"), each.read_bytes().decode("utf-8")) for each in texts]
