"""The entry point of ``openmed-ner``, which ends quietly when it is interrupted.

Exit status: 0 done; 1 the run failed, or not everything could be tagged; 2 the command line or an input is
wrong, and nothing was begun; 130 interrupted.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_INTERRUPTED = 130


@contextmanager
def ending_at_interrupt() -> Iterator[None]:
    """End the process at once when it is interrupted in this block, in which it only imports.

    A ``KeyboardInterrupt`` while a library in C is imported can come out as another error, with a traceback.
    What an import makes stays until the end, so no garbage is looked for meanwhile, nor among it later.
    """
    gc.disable()
    try:
        handler = signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    except ValueError:  # not the main thread, which alone is interrupted
        handler = None
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


def main() -> None:
    """Run the command line and exit."""
    try:
        # Imported here and not above, so that Ctrl-C ends a slow start without a traceback, too.
        with ending_at_interrupt():
            from openmed_ner.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
