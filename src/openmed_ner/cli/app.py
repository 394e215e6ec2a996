"""The table of commands: each is imported when it runs or shows its help, not before.

Start-up then costs what one command needs, and a command may import what it likes at its top. The help lines
stand here a second time, so that ``openmed-ner --help`` imports no command; a test compares the two.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from openmed_ner.cli.main import ending_at_interrupt
from openmed_ner.cli.output import complain
from openmed_ner.cli.values import keep_ready_values
from openmed_ner.errors import OpenMedError, is_memory_shortage
from openmed_ner.offline import disable_telemetry, is_offline, refuse_network

_EMPTY_OPTION = re.compile(r"--[\w-]+=")
_SUMMARY = "Biomedical named entity recognition, offline, on a CPU."


@dataclass(frozen=True, slots=True)
class Entry:
    """A command of the table.

    Attributes:
        target: module of this package and function, as ``module:function``.
        help: one-line help, equal to the first line of the function's docstring.
        multiplies: if false, numpy multiplies no large matrices in this command.
    """

    target: str
    help: str
    multiplies: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """A command with commands of its own.

    Attributes:
        help: one-line help.
        entries: commands below it, by name.
    """

    help: str
    entries: Mapping[str, Entry]


COMMANDS: Mapping[str, Entry | Group] = {
    "tag": Entry("tag:tag", "Find biomedical entities in text.", multiplies=False),
    "suggest": Entry("suggest:suggest", "Choose the documents that are most worth annotating."),
    "train": Entry("train:train", "Fine-tune a backbone with LoRA and write an adapter bundle."),
    "passages": Entry("passages:passages", "Prepare a pretraining set from unlabelled text."),
    "pretrain": Entry(
        "pretrain:pretrain", "Adapt a backbone to prepared passages by masked language modelling."
    ),
    "plot": Entry("plot:plot", "Draw the loss or a score of one or more runs."),
    "reproduce": Entry("reproduce:reproduce", "Run the steps of a study that are not done yet."),
    "pack": Entry("pack:pack", "Pack a study for a machine without a network."),
    "unpack": Entry("pack:unpack", "Join and verify the results of a packed study."),
    "serve": Entry("serve:serve", "Serve an HTTP API and a web page."),
    "mcp": Entry("mcp:mcp", "Offer tagging and linking to assistants (Model Context Protocol)."),
    "evaluate": Entry(
        "evaluate:evaluate",
        "Score a bundle, or the predictions of any system, on gold documents.",
    ),
    "report": Entry("report:report", "Summarise tagged documents: types, mentions, identifiers, pairs."),
    "link": Entry("link:link", "Link mentions to the identifiers of terminologies."),
    "bench": Entry("bench:bench", "Measure the speed of bundles on this machine."),
    "doctor": Entry("doctor:doctor", "Check the installation and print how to fix it."),
    "bundles": Group(
        "List, inspect, verify, export, average, collect, publish and fetch bundles.",
        {
            "push": Entry("publish:push", "Publish a bundle on the Hugging Face hub."),
            "fetch": Entry("publish:fetch", "Fetch a bundle from the Hugging Face hub and verify it."),
            "list": Entry("bundles:list_bundles", "List bundles with their test scores."),
            "info": Entry("bundles:info", "Show what a bundle contains."),
            "verify": Entry("bundles:verify", "Verify the files of a bundle and run its model."),
            "export": Entry(
                "export:export",
                "Export a runtime bundle without torch, folders for transformers, or a page for browsers.",
            ),
            "average": Entry("bundles:average", "Average the weights of models."),
            "collect": Entry("bundles:collect", "Collect the best bundles of a study in a suite."),
        },
    ),
    "cards": Group(
        "Write cards and reports of models, corpora and pretraining sets.",
        {
            "model": Entry("cards:model", "Write the model card of a bundle."),
            "documentation": Entry("cards:documentation", "Write the technical documentation of a bundle."),
            "licences": Entry("cards:licences", "List the sources of a bundle with their licences."),
            "data": Entry("cards:data", "Write the data card of a corpus."),
            "passages": Entry("cards:passages", "Write the data card of a pretraining set."),
            "energy": Entry("cards:energy", "Report the energy of training and tagging."),
        },
    ),
    "corpora": Group(
        "List, fetch, verify, count and compare the benchmark corpora.",
        {
            "list": Entry("corpora:list_corpora", "List the corpora with their types, splits and licences."),
            "fetch": Entry("corpora:fetch", "Fetch corpora and check their digests."),
            "verify": Entry("corpora:verify", "Compare the available archives with the catalog."),
            "stats": Entry("corpora:stats", "Count documents, words and mentions of each split."),
            "overlap": Entry("corpora:overlap", "List documents that appear in more than one split."),
        },
    ),
    "terminologies": Group(
        "Compile public terminologies.",
        {
            "build": Entry(
                "terminologies:build",
                "Compile terminologies into tables of concepts, names for linking and a lexicon.",
            ),
        },
    ),
}


class Command(TyperCommand):
    """A command whose help shows its text as it stands, square brackets included."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, without conversions that change nothing."""
        keep_ready_values(self.get_params(ctx), self.callback)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help; ``[search]`` is the table of a recipe there, not a colour."""
        TyperCommand.format_help(_without_markup(self), ctx, formatter)


class LazyGroup(TyperGroup):
    """A group that lists its commands from the table, and imports the one that is invoked."""

    def __init__(
        self, *, entries: Mapping[str, Entry | Group] = COMMANDS, commands: Any = None, **settings: Any
    ) -> None:
        super().__init__(
            commands={name: TyperCommand(name, help=entry.help) for name, entry in entries.items()},
            **settings,
        )
        self._entries = entries

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse empty arguments: an empty path would be the current folder."""
        for before, argument in zip(["", *args], args, strict=False):
            if argument == "" or _EMPTY_OPTION.fullmatch(argument):
                option = (argument or before).rstrip("=")
                subject = f"The value of {option}" if option.startswith("-") else "An argument"
                ctx.fail(f"{subject} is empty. Is a variable of the shell not set?")
        keep_ready_values(self.get_params(ctx), self.callback)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the arguments name, and import it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, self.load(name) if name else None, rest

    def load(self, name: str) -> Any:
        """Import a command, or make a group, of this name."""
        entry = self._entries[name]
        if isinstance(entry, Group):
            return LazyGroup(name=name, help=entry.help, entries=entry.entries, no_args_is_help=True)

        if not entry.multiplies:
            # OpenBLAS starts a thread for each core, which waits for work in a busy loop for some 40 ms.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # An application of one command is the public way to make a command of a function.
        module, _, function = entry.target.partition(":")
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        with ending_at_interrupt():
            command = getattr(import_module(f"{__package__}.{module}"), function)
        single.command(name, cls=Command)(command)
        return get_command(single)


def _without_markup(command: TyperCommand) -> TyperCommand:
    """Copy a command, its help and that of its parameters escaped for rich."""
    from rich.markup import escape

    # The command itself stays as it is: the reference pages are written from it, without rich.
    plain = copy(command)
    plain.params = []
    for parameter in command.params:
        shown = copy(parameter)
        shown.help = escape(getattr(parameter, "help", None) or "")  # type: ignore[attr-defined]
        plain.params.append(shown)
    plain.help = escape(command.help or "")
    return plain


app = typer.Typer(
    cls=LazyGroup,
    name="openmed-ner",
    help=_SUMMARY,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True, help=_SUMMARY)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Print the version, where that is all."""
    if version:
        from importlib import metadata  # only here, since it imports much

        typer.echo(metadata.version("openmed-ner"))
        raise typer.Exit


def _reserve_streams() -> None:
    """Occupy the numbers of closed standard streams; messages are dropped if theirs is one of them.

    Otherwise the first file that is opened gets such a number, and what a library prints lands in it.
    """
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            handle = os.open(os.devnull, os.O_RDWR)
            if handle > number:  # it is in use already
                os.close(handle)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def run() -> None:
    """Run a command, turn its errors into messages, and exit."""
    _reserve_streams()
    # Before any command is imported: some libraries report their use while they are imported.
    disable_telemetry()
    if is_offline():
        refuse_network()

    try:
        app()
    except OpenMedError as error:
        complain(error)
        sys.exit(error.exit_status)
    except BrokenPipeError:  # the reader of our output has gone, as in "| head"
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        complain(error)
        sys.exit(1)
    except Exception as error:  # libraries tell a lack of memory by messages of any type
        if not is_memory_shortage(error):
            raise
        complain("there is not enough memory; use fewer --threads or smaller files")
        sys.exit(1)
