"""Files of many small documents, for runs over them."""

from __future__ import annotations

import json
from pathlib import Path

from openmed_ner.inference.jobs.inputs import Input, find_inputs


def line(number: int, text: str = "text") -> str:
    return json.dumps({"id": f"d{number}", "text": f"{text} {number}"})


def write_inputs(folder: Path, contents: list[list[str]]) -> list[Input]:
    folder.mkdir(parents=True, exist_ok=True)
    for number, lines in enumerate(contents):
        (folder / f"{number}.jsonl").write_text("".join(f"{each}\n" for each in lines))
    return find_inputs([folder])
