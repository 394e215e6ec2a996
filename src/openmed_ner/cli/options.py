"""Options that several commands share, the groups that help shows them in, and their choices.

Choices are ``Literal`` types: typer refuses any other value as a usage error, with exit status 2. Those of
formats and runtimes come from the tables of the packages that own them, which a type checker cannot read, so
it sees plain strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from openmed_ner.bundle.manifest import RUNTIMES
from openmed_ner.errors import InputError
from openmed_ner.formats import FOLDER_WRITERS, FORMATS, PASSAGE_FORMATS, WRITERS

if TYPE_CHECKING:
    from openmed_ner.inference.backends import Workers

    DocumentFormat = str
    TextFormat = str
    AnyFormat = str
    TaggedFormat = str
    Runtime = str
else:
    DocumentFormat = Literal[FORMATS]
    TextFormat = Literal[PASSAGE_FORMATS]
    AnyFormat = Literal[("auto", *PASSAGE_FORMATS)]
    TaggedFormat = Literal[("table", "summary", *WRITERS, *FOLDER_WRITERS)]
    Runtime = Literal[RUNTIMES]

SplitName = Literal["train", "dev", "test"]
DeviceName = Literal["auto", "cpu", "cuda"]

MOST = 2**31 - 1
"""Largest number of an option; libraries in C hold no larger one."""

INPUT = "Input"
OUTPUT = "Output"
MODEL = "Model"
SPEED = "Speed"
VOCABULARY = "Identifiers"
TRAINING = "Training"
"""Titles of the groups that help shows options in."""

BundleFolder = Annotated[
    Path | None,
    typer.Argument(metavar="BUNDLE", help="Folder of the bundle (default: the embedded one)."),
]
CorpusNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Corpora of the catalog (default: all).", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]

RunFolder = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="PATH",
        help="Folder for the checkpoints and the bundle.",
        rich_help_panel=OUTPUT,
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="TOML recipe; its values replace the defaults.", rich_help_panel=TRAINING
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="K=V",
        help="Override a setting of the recipe, such as schedule.epochs=3; repeatable.",
        rich_help_panel=TRAINING,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Name or folder of the backbone, or owner/model@commit on the Hugging Face hub.",
        rich_help_panel=MODEL,
    ),
]
BundlePath = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Folder of a bundle or of a suite (default: the embedded bundle).",
        rich_help_panel=MODEL,
    ),
]
BundleName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Name of the bundle (default: name of the output folder).",
        rich_help_panel=OUTPUT,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=MOST, metavar="N", help="Seed of all random choices.", rich_help_panel=TRAINING),
]
Device = Annotated[
    DeviceName,
    typer.Option(help="Device to train on; cuda fails if there is none.", rich_help_panel=SPEED),
]
SkipInvalid = Annotated[
    bool,
    typer.Option(
        "--skip-invalid",
        help="Leave out documents of yours with a bad record or annotation, and count them (default: "
        "refuse the file).",
        rich_help_panel=INPUT,
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column of the texts in a table (CSV, TSV). Implies --from csv (default: text).",
        rich_help_panel=INPUT,
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column of the document ids in a table. Implies --from csv (default: id).",
        rich_help_panel=INPUT,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Column of the entity types in a table, beside start and end. Implies --from csv (default: "
        "label).",
        rich_help_panel=INPUT,
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Resume from the checkpoint in the folder.", rich_help_panel=TRAINING),
]

DocumentDecoding = Annotated[
    bool,
    typer.Option(
        help="Let abbreviations that a text defines, and names that it repeats, decide mentions in the whole "
        "document, as far as the bundle says so.",
        rich_help_panel=MODEL,
    ),
]
Passages = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Folder of a pretraining set for the adaptations, or of one such folder per backbone.",
        rich_help_panel=INPUT,
    ),
]
TeacherTexts = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="File, folder or quoted pattern of the texts that teachers tag, in any format.",
        rich_help_panel=INPUT,
    ),
]
Terminologies = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Folder of compiled terminologies, for identifiers (default: OPENMED_NER_TERMINOLOGIES, else "
        "the one that terminologies build made).",
        rich_help_panel=VOCABULARY,
    ),
]
Species = Annotated[
    int | None,
    typer.Option(
        metavar="TAXON",
        help="Species of all genes, as a number of the NCBI Taxonomy, such as 10090 (default: from the text, "
        "else human).",
        rich_help_panel=VOCABULARY,
    ),
]
Backend = Annotated[
    Runtime | None,
    typer.Option(
        help="Library that computes a runtime bundle (default: the one it was certified with).",
        rich_help_panel=SPEED,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, max=MOST, metavar="N", help="Number of threads (default: all cores).", rich_help_panel=SPEED
    ),
]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="N|auto",
        help="Number of batches to compute at a time, among which the threads are divided (default: auto, "
        "one per thread).",
        rich_help_panel=SPEED,
    ),
]

InferenceDevice = Annotated[
    DeviceName,
    typer.Option(
        help="Device of the model. With cuda, torch computes any bundle, in bfloat16. Auto leaves runtime "
        "bundles to the processor.",
        rich_help_panel=SPEED,
    ),
]
Processes = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST,
        metavar="N",
        help="Processes that read texts and decode scores, beside the one that computes the model. A GPU "
        "needs one per core.",
        rich_help_panel=SPEED,
    ),
]


def read_workers(text: str | None) -> Workers:
    """Parse the value of ``--workers``.

    Raises:
        InputError: the value is neither a number above 0 nor ``auto``.
    """
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[: len(str(MOST)) + 1]) <= MOST:
        raise InputError(f"--workers {text}: expected a number above 0, or auto")
    return int(text)


def choose_columns(
    source: str | None, *, text: str | None, identifier: str | None, label: str | None = None
) -> tuple[str | None, dict[str, str]]:
    """Choose the format of tables whose columns are named.

    Args:
        source: value of ``--from``; ``None`` or ``auto`` if the format is to be recognised.
        text: column of the texts.
        identifier: column of the ids.
        label: column of the entity types.

    Returns:
        The format, ``None`` if it is to be recognised, and the names of the columns.

    Raises:
        InputError: columns are named, and the format is not the one of tables; or a column has two uses.
    """
    named = None if source == "auto" else source
    columns = drop_none({"text": text, "id": identifier, "label": label})
    if not columns:
        return named, columns
    options = ", ".join(f"--{name}-column" for name in columns)
    if named not in (None, "csv"):
        raise InputError(f"{options} is for tables; omit it, or --from {named}")
    if len({name.strip().lower() for name in columns.values()}) < len(columns):
        raise InputError(f"{options}: expected a column for each, found one name twice")
    return "csv", columns


def split_names(text: str | None, *, option: str) -> list[str] | None:
    """Split a list with commas; blanks around a name are ignored.

    Args:
        text: value of the option; ``None`` if it is not set.
        option: name of the option, for the message.

    Raises:
        typer.BadParameter: the list is empty.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("expected names, separated by commas.", param_hint=f"'{option}'")
    return names


def read_choices(text: str, choices: Sequence[str], *, option: str) -> list[str]:
    """Split a list with commas whose entries are restricted.

    Args:
        text: value of the option.
        choices: permitted entries.
        option: name of the option, for the message.

    Raises:
        typer.BadParameter: the list is empty, or an entry is not one of the choices.
    """
    names = split_names(text, option=option) or []
    for name in names:
        if name not in choices:
            expected = ", ".join(map(repr, choices))
            raise typer.BadParameter(f"{name!r} is not one of {expected}.", param_hint=f"'{option}'")
    return names


def drop_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were set on the command line."""
    return {name: value for name, value in values.items() if value is not None}
