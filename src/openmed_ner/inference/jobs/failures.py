"""Failures of a run that may pass: a file that is away, a lack of memory."""

from __future__ import annotations

from gzip import BadGzipFile

from openmed_ner.errors import CorpusFormatError, is_memory_shortage


def is_temporary(error: BaseException | None) -> bool:
    """True if the cause of an error may pass, so that another attempt is worth it."""
    while error is not None:
        if isinstance(error, CorpusFormatError | BadGzipFile):
            return False
        if isinstance(error, OSError) or is_memory_shortage(error):
            return True
        error = error.__cause__
    return False
