"""The entry point of ``openmed-ner``, which ends quietly when it is interrupted.

Exit status: 0 done; 1 the run failed, or not everything could be tagged; 2 the command line or an input is
wrong, and nothing was begun; 130 interrupted.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        # Imported here and not above, so that Ctrl-C ends a slow start without a traceback, too.
        from openmed_ner.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
