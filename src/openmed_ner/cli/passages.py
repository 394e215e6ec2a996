"""``openmed-ner passages``: turn unlabelled text into a pretraining set, and print a summary of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from openmed_ner.cli.invalid import InvalidDocuments
from openmed_ner.cli.options import INPUT, MOST, OUTPUT, AsJson, TextFormat
from openmed_ner.cli.output import print_json, printable
from openmed_ner.errors import InputError
from openmed_ner.formats import PASSAGE_FORMATS
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.model.backbones import find_backbone
from openmed_ner.training.passages import PassageSettings, Progress, prepare
from openmed_ner.training.passages.settings import GuardMode, Language, LicenceFilter
from openmed_ner.training.passages.sources import read_licences
from openmed_ner.training.passages.summary import summarise

FILTERS = "Filters"
"""Title of the group of options that drop passages."""
_DEFAULTS = PassageSettings()


def passages(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Files and folders of text.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Folder for the set; it must be new or empty.",
            rich_help_panel=OUTPUT,
        ),
    ],
    tokenizer: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Tokenizer that cuts the subwords: a backbone, its folder, or a tokenizer.json.",
            rich_help_panel=OUTPUT,
        ),
    ] = "minilm-l6",
    source_format: Annotated[
        TextFormat | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"Input format: {', '.join(PASSAGE_FORMATS)} (default: inferred from the file names).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    skip_invalid: Annotated[
        bool,
        typer.Option(
            "--skip-invalid",
            help="Leave out bad records, and count them (default: refuse the file).",
            rich_help_panel=INPUT,
        ),
    ] = False,
    licences: Annotated[
        LicenceFilter, typer.Option(help="Licence classes to use.", rich_help_panel=INPUT)
    ] = _DEFAULTS.licences,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="Class of a source: permissive, non-commercial or unknown; repeatable.",
            metavar="NAME=CLASS",
            rich_help_panel=INPUT,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Use only this source; repeatable.", rich_help_panel=INPUT),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Exclude this source; repeatable.", rich_help_panel=INPUT),
    ] = None,
    guard: Annotated[
        GuardMode,
        typer.Option(
            help="Drop passages that appear in dev or test documents of the catalog (all its corpora are "
            "required) or of the available corpora.",
            rich_help_panel=FILTERS,
        ),
    ] = _DEFAULTS.guard,
    language: Annotated[
        Language, typer.Option(help="Language of the passages to keep.", rich_help_panel=FILTERS)
    ] = _DEFAULTS.language,
    min_subwords: Annotated[
        int, typer.Option(metavar="N", help="Drop passages of fewer subwords.", rich_help_panel=FILTERS)
    ] = _DEFAULTS.min_subwords,
    max_subwords: Annotated[
        int, typer.Option(metavar="N", help="Split passages of more subwords.", rich_help_panel=OUTPUT)
    ] = _DEFAULTS.max_subwords,
    near_duplicates: Annotated[
        float,
        typer.Option(
            metavar="P",
            help="Drop passages with this Jaccard similarity to an earlier one; 0 turns it off.",
            rich_help_panel=FILTERS,
        ),
    ] = _DEFAULTS.near_duplicates,
    max_placeholders: Annotated[
        float,
        typer.Option(
            metavar="P", help="Drop passages with a larger share of lost numbers.", rich_help_panel=FILTERS
        ),
    ] = _DEFAULTS.max_placeholders,
    held_out: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Number of passages to hold out for evaluation; at most 5 % of all.",
            rich_help_panel=OUTPUT,
        ),
    ] = _DEFAULTS.held_out,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST,
            metavar="N",
            help="Seed for selecting the held-out passages.",
            rich_help_panel=OUTPUT,
        ),
    ] = _DEFAULTS.seed,
    as_json: AsJson = False,
) -> None:
    """Prepare a pretraining set from unlabelled text.

    Documents of dev and test splits, duplicates and other languages are left out.

    Example:
        openmed-ner passages abstracts/ --guard available -o passages
    """
    settings = PassageSettings(
        licences=licences,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        min_subwords=min_subwords,
        max_subwords=max_subwords,
        language=language,
        guard=guard,
        near_duplicates=near_duplicates,
        max_placeholders=max_placeholders,
        held_out=held_out,
        seed=seed,
    )
    classes = read_licences(licence or [])
    tokenizer_json = _read_tokenizer(tokenizer)
    invalid = InvalidDocuments()
    on_bad: OnBad = fail
    if skip_invalid:
        on_bad = invalid.add

    with PassageProgress(quiet=as_json) as progress:
        prepared = prepare(
            paths,
            output,
            tokenizer_json=tokenizer_json,
            settings=settings,
            format=source_format,
            licences=classes,
            on_bad=on_bad,
            on_progress=progress.show,
        )

    invalid.report()
    if as_json:
        print_json(prepared.manifest)
    else:
        typer.echo("\n".join(summarise(prepared)))


def _read_tokenizer(name: str) -> str:
    """Read the tokenizer of a backbone, or a file of that format."""
    path = Path(name) if Path(name).is_file() else find_backbone(name) / "tokenizer.json"
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


class PassageProgress:
    """A line with the current file and the number of passages kept."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar = ProgressBar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> PassageProgress:
        self._bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Show the state of the preparation."""
        counts = f": {progress.read:,} passages read, {progress.kept:,} kept" if progress.read else ""
        self._bar.update(self._task, description=printable(progress.stage) + counts)
