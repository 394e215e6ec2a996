"""The command ``openmed-ner``: collects the subcommands and turns errors into messages.

Exit status: 0 done; 1 the run failed, or not everything could be tagged; 2 the command line or an input is
wrong, and nothing was begun; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from openmed_ner.cli import (
    bench,
    bundles,
    cards,
    corpora,
    doctor,
    evaluate,
    passages,
    plot,
    pretrain,
    reproduce,
    serve,
    tag,
    train,
)
from openmed_ner.cli.output import complain
from openmed_ner.errors import OpenMedError
from openmed_ner.offline import disable_telemetry, is_offline, refuse_network

app = typer.Typer(
    name="openmed-ner",
    help="Biomedical named entity recognition, offline, on a CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("tag")(tag.tag)
app.command("train")(train.train)
app.command("passages")(passages.passages)
app.command("pretrain")(pretrain.pretrain)
app.command("plot")(plot.plot)
app.command("reproduce")(reproduce.reproduce)
app.command("serve")(serve.serve)
app.command("evaluate")(evaluate.evaluate)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.add_typer(bundles.app, name="bundles")
app.add_typer(cards.app, name="cards")
app.add_typer(corpora.app, name="corpora")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Biomedical named entity recognition, offline, on a CPU."""
    if version:
        from openmed_ner.bundle.record import version as package_version

        typer.echo(package_version())
        raise typer.Exit


def main() -> None:
    """Run the command line and exit."""
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
