"""``openmed-ner reproduce``: carry out a study from its recipe, resumable at every step."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmed_ner.cli.output import open_output, print_json
from openmed_ner.errors import InputError, require_extra

if TYPE_CHECKING:
    from openmed_ner.training.study.cost import Estimate
    from openmed_ner.training.study.plan import Study


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
    require_extra("torch", "train")
    from openmed_ner.training.study.cost import DEVICES, estimate_study, require_memory, this_machine
    from openmed_ner.training.study.plan import read_study
    from openmed_ner.training.study.reproduce import reproduce as run_study

    if device is not None and not (dry_run and device in DEVICES):
        raise InputError(f"--device {device}: requires --dry-run, and one of {', '.join(DEVICES)}")
    study = read_study(recipe)
    pattern = "" if dry_run else only or "*"
    machine = DEVICES[device] if device else this_machine()
    plan = {estimate.name: estimate for estimate in estimate_study(study, machine)}
    if not (dry_run or ignore_memory):
        selected = (estimate for estimate in plan.values() if fnmatch(estimate.name, pattern))
        require_memory(selected, machine)

    remaining = dict(plan)

    def show(name: str, state: str) -> None:
        cost = f"  {_describe([plan[name]])}, {100 * plan[name].share:.2f} % trained"
        if state in ("done", "finished"):
            cost = ""
            remaining.pop(name, None)
        typer.echo(f"{state:<10} {name}{cost}", err=as_json)

    complete = run_study(
        study,
        output,
        passages=passages,
        texts=texts,
        only=lambda name: fnmatch(name, pattern),
        on_step=show,
    )
    if dry_run and remaining:
        typer.echo(f"all remaining steps on {machine.name}: {_describe(remaining.values())}", err=as_json)
    elif not complete:
        typer.echo("some steps are not done yet; repeat the command to resume", err=True)
    _write_results(study, output, results, as_json=as_json, is_finished=complete and not dry_run)


def _describe(estimates: Iterable[Estimate]) -> str:
    """Total time, peak memory and energy of some steps, one after the other."""
    rows = list(estimates)
    hours, kwh = sum(row.seconds for row in rows) / 3600, sum(row.kwh for row in rows)
    time = f"{hours:.1f} h" if hours > 2 else f"{60 * hours:.0f} min"
    energy = f"{kwh:.2f} kWh" if kwh > 1 else f"{1000 * kwh:.0f} Wh"
    return f"about {time}, {max(row.memory for row in rows) / 1e9:.1f} GB, {energy}"


def _write_results(
    study: Study, output: Path, results: Path | None, *, as_json: bool, is_finished: bool
) -> None:
    """Write the results to the file that was named and, once all is done, beside the models."""
    if not (is_finished or results or as_json):
        return
    from openmed_ner.training.study.report import write_report
    from openmed_ner.training.study.summary import summarise_study

    record = summarise_study(study, output)
    if as_json:
        print_json(record)

    content = json.dumps(record, indent=1) + "\n"
    files = {results: content} if results else {}
    if is_finished:
        files |= {output / "results.json": content, output / "report.md": write_report(record)}
    for path, text in files.items():
        with open_output(path) as file:
            file.write(text)
    if is_finished:
        typer.echo(f"report: {output / 'report.md'}", err=as_json)
