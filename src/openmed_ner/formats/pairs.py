"""Two releases in pairs of files: sentences or abstracts in one, mentions in the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from openmed_ner.errors import InputError
from openmed_ner.formats.bc2gm import read_bc2gm
from openmed_ner.formats.files import list_files, open_text
from openmed_ner.formats.tables import CHEMDNER, read_abstracts, read_table
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document

_ABSTRACTS, _ANNOTATIONS = "abstracts", "annotations"


def read_bc2gm_files(path: Path, *, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the sentences of ``<name>.in``, or of every such file in a folder, with ``GENE.eval`` beside it.

    Raises:
        InputError: the file or ``GENE.eval`` does not exist.
        CorpusFormatError: a file does not follow the format.
    """
    for sentences in _find(path, "*.in"):
        mentions = sentences.with_name("GENE.eval")
        with ExitStack() as stack:
            first, second = (stack.enter_context(open_text(path)) for path in (sentences, mentions))
            yield from read_bc2gm(
                first, second, source=str(sentences), mentions_source=str(mentions), on_bad=on_bad
            )


def read_chemdner_files(path: Path, *, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the abstracts of ``<name>.abstracts.txt``, or of every such file in a folder.

    The mentions are in the file with ``annotations`` in its name instead.

    Raises:
        InputError: the file or that of its annotations does not exist.
        CorpusFormatError: a file does not follow the format.
    """
    for abstracts in _find(path, f"*{_ABSTRACTS}*"):
        annotations = abstracts.with_name(abstracts.name.replace(_ABSTRACTS, _ANNOTATIONS))
        with ExitStack() as stack:
            first, second = (stack.enter_context(open_text(path)) for path in (abstracts, annotations))
            texts = read_abstracts(first, source=str(abstracts), on_bad=on_bad)
            yield from read_table(second, texts, columns=CHEMDNER, source=str(annotations), on_bad=on_bad)


def _find(path: Path, pattern: str) -> list[Path]:
    files = [path] if path.is_file() else list_files(path, pattern)
    if not files:
        raise InputError(f"{path}: no {pattern} found")
    return files
