"""``openmed-ner reproduce``: carry out a study from its recipe, resumable at every step."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmed_ner.cli.output import open_output, print_json
from openmed_ner.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from openmed_ner.training.study.cost import Estimate


def reproduce(
    recipe: Annotated[Path, typer.Argument(help="TOML recipe of a study.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything the study makes.")],
    passages: Annotated[
        Path | None,
        typer.Option(
            help="Folder that openmed-ner passages wrote, for adaptations, or one with such a folder "
            "for each backbone."
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(help="File, folder or quoted pattern of the texts that teachers read, in any format."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Do only the steps whose names match: 'models/bc2gm/*'.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Write what has been found so far to this JSON file.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the steps, their state, and what they will take.")
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="With --dry-run: plan for a t4, l4, a100-80gb or h100-80gb, not for this machine."),
    ] = None,
    ignore_memory: Annotated[
        bool, typer.Option("--ignore-memory", help="Begin even if a step may need more memory than there is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what has been found as JSON.")] = False,
) -> None:
    """Run the steps of a study that are not done yet.

    Several processes may work on one study: each takes steps that no other has begun. When everything is
    done, results.json and report.md in the output folder say what was found.
    """
    try:
        from openmed_ner.training.study.cost import DEVICES, estimate_study, require_memory, this_machine
        from openmed_ner.training.study.reproduce import reproduce as run_study
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error

    if device is not None and not (dry_run and device in DEVICES):
        raise InputError(f"--device {device}: goes with --dry-run, and is one of {', '.join(DEVICES)}")
    pattern = "" if dry_run else only or "*"
    machine = DEVICES[device] if device else this_machine()
    plan = {each.name: each for each in estimate_study(recipe, machine)}
    if not (dry_run or ignore_memory):
        require_memory((each for each in plan.values() if fnmatch(each.name, pattern)), machine)
    left = dict(plan)

    def show(name: str, state: str) -> None:
        takes = f"  {_describe([plan[name]])}, {100 * plan[name].share:.2f} % trained"
        if state in ("done", "finished"):
            takes = ""
            left.pop(name, None)
        typer.echo(f"{state:<10} {name}{takes}", err=as_json)

    complete = run_study(
        recipe,
        output,
        passages=passages,
        texts=texts,
        only=lambda name: fnmatch(name, pattern),
        on_step=show,
    )
    if dry_run and left:
        typer.echo(f"all that is left, on {machine.name}: {_describe(left.values())}", err=as_json)
    elif not complete:
        typer.echo("not everything is done yet; give the command again to go on", err=True)
    _tell(recipe, output, results, as_json=as_json, finished=complete and not dry_run)


def _describe(estimates: Iterable[Estimate]) -> str:
    """What some steps take, one after the other."""
    rows = list(estimates)
    hours, kwh = (
        sum(values) for values in zip(*((each.seconds / 3600, each.kwh) for each in rows), strict=True)
    )
    time = f"{hours:.1f} h" if hours > 2 else f"{60 * hours:.0f} min"
    energy = f"{kwh:.2f} kWh" if kwh > 1 else f"{1000 * kwh:.0f} Wh"
    return f"about {time}, {max(each.memory for each in rows) / 1e9:.1f} GB, {energy}"


def _tell(recipe: Path, output: Path, results: Path | None, *, as_json: bool, finished: bool) -> None:
    """Write what has been found to where it was asked for, and beside the models once all is done."""
    if not (finished or results or as_json):
        return
    from openmed_ner.training.study.report import write_report
    from openmed_ner.training.study.summary import summarise_study

    found = summarise_study(recipe, output)
    if as_json:
        print_json(found)
    pages = {results: json.dumps(found, indent=1) + "\n"} if results else {}
    if finished:
        pages |= {output / "results.json": json.dumps(found, indent=1) + "\n"}
        pages |= {output / "report.md": write_report(found)}
    for path, page in pages.items():
        with open_output(path) as file:
            file.write(page)
    if finished:
        typer.echo(f"report: {output / 'report.md'}", err=as_json)
