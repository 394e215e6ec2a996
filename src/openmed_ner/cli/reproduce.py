"""``openmed-ner reproduce``: carry out a study from its recipe, resumable at every step."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.cli.output import open_output, print_json
from openmed_ner.errors import MissingExtraError


def reproduce(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe of a study.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything the study makes.")],
    passages: Annotated[
        Path | None, typer.Option(help="Folder that openmed-ner passages wrote, for adaptations.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Do only the steps whose names match: 'models/bc2gm/*'.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Write what has been found so far to this JSON file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the steps and their state.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what has been found as JSON.")] = False,
) -> None:
    """Adapt, fine-tune and score all models of a study; what is done already is not done again.

    Several processes may work on one study: each takes steps that no other has begun.
    """
    try:
        from openmed_ner.study.plan import read_study
        from openmed_ner.study.reproduce import reproduce as run_study
        from openmed_ner.study.summary import summarise_study
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error

    pattern = "" if dry_run else only or "*"
    complete = run_study(
        recipe,
        output,
        passages=passages,
        only=lambda name: fnmatch(name, pattern),
        on_step=lambda name, state: typer.echo(f"{state:<10} {name}", err=as_json),
    )
    if not dry_run and not complete:
        typer.echo("not everything is done yet; give the command again to go on", err=True)
    if results or as_json:
        found = summarise_study(read_study(recipe), output)
        if as_json:
            print_json(found)
        if results:
            with open_output(results) as file:
                file.write(json.dumps(found, indent=1) + "\n")
