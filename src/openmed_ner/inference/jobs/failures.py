"""Failures of a run that may pass: a file that is away, a lack of memory."""

from __future__ import annotations

import re
from gzip import BadGzipFile

from openmed_ner.errors import CorpusFormatError

_OUT_OF_MEMORY = re.compile(r"allocate memory|bad_alloc|bad allocation|out of memory", re.IGNORECASE)
"""Messages of native libraries."""


def is_temporary(error: BaseException | None) -> bool:
    """True if the cause of an error may pass, so that another attempt is worth it."""
    while error is not None:
        if isinstance(error, CorpusFormatError | BadGzipFile):
            return False
        if isinstance(error, OSError | MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            return True
        error = error.__cause__
    return False
