"""The command ``openmed-ner``: runs a command, and turns errors into messages and an exit status.

Exit status: 0 done; 1 the run failed, or not everything could be tagged; 2 the command line or an input is
wrong, and nothing was begun; 130 interrupted.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> None:
    # Imported here and not above: Ctrl-C then ends a slow start without a traceback, too.
    from openmed_ner.cli.app import app
    from openmed_ner.cli.output import complain
    from openmed_ner.errors import OpenMedError
    from openmed_ner.offline import disable_telemetry, is_offline, refuse_network

    disable_telemetry()
    if is_offline():
        refuse_network()

    try:
        app()
    except OpenMedError as error:
        complain(error)
        sys.exit(error.exit_status)
    except BrokenPipeError:  # the reader of our output has gone, as in "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        complain(error)
        sys.exit(1)
