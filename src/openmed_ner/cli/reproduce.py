"""``openmed-ner reproduce``: run a study from its recipe; every step can be resumed.

Torch is imported when a study starts, not here: ``reproduce --help`` is quick, and works without torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from openmed_ner.cli.options import INPUT, OUTPUT, SPEED, AsJson, Passages, TeacherTexts
from openmed_ner.cli.output import print_json, write_output
from openmed_ner.errors import InputError, require_extra

if TYPE_CHECKING:
    from openmed_ner.training.study.cost import Estimate
    from openmed_ner.training.study.plan import Study

PlannedDevice = Literal["t4", "l4", "a100-80gb", "h100-80gb"]
FINISHED = ("done", "finished")
"""States of a step that takes no more time."""


def reproduce(
    recipe: Annotated[Path, typer.Argument(metavar="PATH", help="TOML recipe of a study.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Folder for everything that the study writes.",
            rich_help_panel=OUTPUT,
        ),
    ],
    passages: Passages = None,
    texts: TeacherTexts = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Run only the steps whose names match, such as 'models/bc2gm/*'.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Write the results so far to this file, as JSON.", rich_help_panel=OUTPUT
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only list the steps, with their state, time, memory and energy.",
            rich_help_panel=SPEED,
        ),
    ] = False,
    device: Annotated[
        PlannedDevice | None,
        typer.Option(
            help="With --dry-run: device to plan for (default: this machine).",
            rich_help_panel=SPEED,
        ),
    ] = None,
    ignore_memory: Annotated[
        bool,
        typer.Option(
            "--ignore-memory",
            help="Start even if a step may need more memory than is available.",
            rich_help_panel=SPEED,
        ),
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=0.0,
            help="Time for all steps together, instead of that in the recipe.",
            rich_help_panel=SPEED,
        ),
    ] = None,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish",
            help="End the models in training at their checkpoints, and begin no other step.",
            rich_help_panel=SPEED,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the steps of a study that are not done yet.

    Models are adapted, fine-tuned and scored. Several processes may work on one study: each selects steps
    that no other process has started. At the end, results.json and report.md in the output folder hold the
    results.

    Example:
        openmed-ner reproduce recipes/toy.toml -o studies/toy --dry-run
    """
    if device is not None and not dry_run:
        raise InputError(f"--device {device} needs --dry-run")
    cost = require_extra("openmed_ner.training.study.cost", "train")
    runner = require_extra("openmed_ner.training.study.reproduce", "train")

    study: Study = require_extra("openmed_ner.training.study.plan", "train").read_study(recipe)
    if minutes is not None:
        study = replace(study, minutes=minutes)
    # No step has an empty name, so a dry run runs nothing.
    pattern = "" if dry_run else only or "*"
    machine = cost.DEVICES[device] if device else cost.this_machine()
    estimates: dict[str, Estimate] = {
        estimate.name: estimate for estimate in cost.estimate_study(study, machine)
    }
    if not (dry_run or ignore_memory):
        selected = (estimate for estimate in estimates.values() if fnmatch(estimate.name, pattern))
        cost.require_memory(selected, machine)

    remaining = dict(estimates)

    def show(name: str, state: str) -> None:
        note = ""
        if state in FINISHED:
            remaining.pop(name, None)
        elif estimate := estimates.get(name):  # texts are drawn in no time
            note = f"  {_describe([estimate])}, {100 * estimate.share:.2f} % trained"
        typer.echo(f"{state:<10} {name}{note}", err=as_json)

    complete: bool = runner.reproduce(
        study,
        output,
        passages=passages,
        texts=texts,
        only=lambda name: fnmatch(name, pattern),
        on_step=show,
        finish=finish,
    )

    if dry_run and remaining:
        typer.echo(f"all remaining steps on {machine.name}: {_describe(remaining.values())}", err=as_json)
    elif not complete:
        typer.echo("some steps are not done yet; repeat the command to resume", err=True)
    finished = complete and not dry_run
    if finished or results or as_json:
        _write_results(study, output, results, as_json=as_json, finished=finished)


def _describe(estimates: Iterable[Estimate]) -> str:
    """Describe the time, memory and energy of some steps, one after the other."""
    rows = list(estimates)
    hours = sum(row.seconds for row in rows) / 3600
    kwh = sum(row.kwh for row in rows)
    time = f"{hours:.1f} h" if hours > 2 else f"{60 * hours:.0f} min"
    energy = f"{kwh:.2f} kWh" if kwh > 1 else f"{1000 * kwh:.0f} Wh"
    return f"about {time}, {max(row.memory for row in rows) / 1e9:.1f} GB, {energy}"


def _write_results(
    study: Study, output: Path, results: Path | None, *, as_json: bool, finished: bool
) -> None:
    """Write the results so far to all places that were asked for, and the report at the end."""
    summary = require_extra("openmed_ner.training.study.summary", "train")
    record: Mapping[str, Any] = summary.summarise_study(study, output)
    if as_json:
        print_json(record)

    text = json.dumps(record, indent=1) + "\n"
    if results:
        write_output(text, results)
    if finished:
        report = require_extra("openmed_ner.training.study.report", "train")
        write_output(text, output / "results.json")
        write_output(report.write_report(record), output / "report.md")
        typer.echo(f"report: {output / 'report.md'}", err=as_json)
