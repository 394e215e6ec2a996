"""A program that writes a document and waits for its result gets it."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import sys
from dataclasses import replace
from openmed_ner.cli.progress import TaggingProgress
from openmed_ner.cli.tag_run import Destination, Run
from openmed_ner.inference.jobs.inputs import STDIN, find_inputs, iter_items

def tag(documents):
    for document in list(documents):  # reads ahead as far as it can
        coverage = {"characters": len(document.text), "windows": 1, "complete": True}
        yield replace(document, meta={"coverage": coverage})

inputs = find_inputs([STDIN], format="jsonl")
destination = Destination("jsonl", None, None, False, None, None)
identity = {"options": {"add": []}}
with TaggingProgress([0], quiet=True, on_problem=print) as progress:
    Run(inputs, destination, identity, tag, iter_items).write(progress)
"""


def test_results_leave_when_the_input_pauses() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for text in ("aspirin", "asthma"):
            process.stdin.write(json.dumps({"text": text}) + "\n")
            process.stdin.flush()
            # Without the result, this would wait for ever; the time limit of the test ends it.
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.write("".join(json.dumps({"text": str(number)}) + "\n" for number in range(600)))
        process.stdin.close()
        results = [json.loads(line)["text"] for line in process.stdout]
    assert results == [str(number) for number in range(600)]
    assert process.returncode == 0
