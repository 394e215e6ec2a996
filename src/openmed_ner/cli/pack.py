"""``openmed-ner pack`` and ``unpack``: carry a study to a machine without a network, and its results back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from openmed_ner.cli.options import INPUT, OUTPUT, SPEED, DeviceName, Passages, TeacherTexts
from openmed_ner.errors import RunError, require_extra
from openmed_ner.storage import read_json

PackedWeights = Literal["exact", "bf16", "int8"]


def pack(
    recipe: Annotated[Path, typer.Argument(metavar="PATH", help="TOML recipe of a study.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="PATH", help="Folder for the parts.", rich_help_panel=OUTPUT),
    ],
    part_size: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Largest part, and most results that are copied back at once.",
            rich_help_panel=OUTPUT,
        ),
    ] = "60MB",
    file_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Largest file of results.", rich_help_panel=OUTPUT)
    ] = "16MB",
    max_files: Annotated[
        int,
        typer.Option(
            "--files", min=1, metavar="N", help="Most files of results at once.", rich_help_panel=OUTPUT
        ),
    ] = 8,
    weights: Annotated[
        PackedWeights,
        typer.Option(
            help="Format of the encoders' weights (not int8 where adapters are trained).",
            rich_help_panel=OUTPUT,
        ),
    ] = "bf16",
    passages: Passages = None,
    texts: TeacherTexts = None,
    present: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Packages of the other machine, as pip freeze prints them (default: torch, transformers, "
            "peft, onnxruntime and what they require).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    python: Annotated[
        str,
        typer.Option(metavar="VERSION", help="Python of the other machine.", rich_help_panel=INPUT),
    ] = "3.12",
    wheels: Annotated[
        bool,
        typer.Option(
            "--wheels/--no-wheels",
            help="Download the packages that the other machine lacks.",
            rich_help_panel=INPUT,
        ),
    ] = True,
    device: Annotated[
        DeviceName,
        typer.Option(help="Device of the run. cuda refuses to run without one.", rich_help_panel=SPEED),
    ] = "auto",
) -> None:
    """Pack a study for a machine without a network.

    The parts hold source, encoders, corpora, texts, lexicons, settings and missing packages. Copy them there
    together with packed.pyz, in any order.

    Example:
        openmed-ner pack recipes/gpu.toml -o packed --part-size 60MB
    """
    packing = require_extra("openmed_ner.training.transport.packing", "train")
    packages = require_extra("openmed_ner.training.transport.packages", "train")
    plan = require_extra("openmed_ner.training.study.plan", "train")

    settings = packing.PackSettings(
        part_size=packing.parse_size(part_size),
        file_size=packing.parse_size(file_size),
        files=max_files,
        weights=weights,
        device=device,
        python=python,
        wheels=wheels,
    )
    packed = packing.pack_study(
        plan.read_study(recipe),
        output,
        settings,
        passages=passages,
        texts=texts,
        present=packages.read_present(present) if present else None,
    )

    for name, error in packed.errors.items():
        typer.echo(f"{name}: weights rounded by {100 * error:.2f} %" if error else f"{name}: exact weights")
    missing = ", ".join(f"{name} {version}" for name, version in packed.missing.items())
    typer.echo(f"packages that are missing there{' and come along' if wheels else ''}: {missing or 'none'}")
    for path in (packed.program, *packed.parts):
        typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    typer.echo(f"there: python3 {packed.program.name} unpack PART, then python3 {packed.program.name} run")


def unpack(
    files: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Files of results, or folders of them.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="PATH", help="Folder of the study.", rich_help_panel=OUTPUT),
    ],
) -> None:
    """Join and verify the results of a packed study.

    Archives of which all files are there are unpacked. The exit status is 1 if files are missing. A study
    that was cut off is ended with: openmed-ner reproduce RECIPE -o PATH --finish

    Example:
        openmed-ner unpack results -o runs/gpu
    """
    results = require_extra("openmed_ner.training.transport.results", "train")
    progress = require_extra("openmed_ner.training.study.progress", "train")
    joined = results.join_results(files, output)
    for name in joined.archives:
        typer.echo(f"unpacked {name}")

    state = output / "state.json"
    if state.is_file():
        record = read_json(state, error=RunError)
        end = "complete" if record["complete"] else "not complete"
        typer.echo(f"{end} after {record['seconds'] / 60:.1f} minutes on {record['device']}")
    for path in sorted(output.rglob(progress.PROGRESS)):
        step = progress.read_progress(path.parent)
        done = "finished" if step.finished else f"step {step.step} of {step.n_steps}"
        typer.echo(f"{path.parent.relative_to(output)}: {done}, {step.seconds / 60:.1f} minutes")
    if joined.incomplete:
        typer.echo(f"missing: {', '.join(joined.incomplete)}", err=True)
        raise typer.Exit(1)
