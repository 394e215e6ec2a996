"""The notebooks run, and what is committed of them is clean."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tiny import make_backbone

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
pytestmark = [
    pytest.mark.slow,
    # Jupyter's own: its client opens sockets that a later collection closes, and warns of its transport.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client.*"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:zmq.*"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def read(name: str) -> Any:
    return nbformat.read(FOLDER / name, as_version=4)


def run(notebook: Any, folder: Path) -> str:
    """Execute every cell in a folder; an error in one is raised. Returns what was printed or shown."""
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return json.dumps([cell.get("outputs", []) for cell in notebook.cells], ensure_ascii=False)


def test_tagging_and_exploring(tmp_path: Path) -> None:
    shown = run(read("tag-and-explore.ipynb"), tmp_path)
    assert "nephrotoxicity<sub" in shown and "bc5cdr-chemical" in shown


def test_training_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a random encoder of two layers in place of the backbone, and fewer epochs."""
    make_backbone(tmp_path / "backbones/tiny")
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path / "backbones"))
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    notebook = read("train-your-own.ipynb")
    for cell in notebook.cells:
        for old, new in (('BACKBONE = "minilm-l6"', 'BACKBONE = "tiny"'), ("EPOCHS = 12", "EPOCHS = 2")):
            cell.source = cell.source.replace(old, new)
    assert sum('"tiny"' in cell.source and "EPOCHS = 2" in cell.source for cell in notebook.cells) == 1
    shown = run(notebook, tmp_path)
    assert "of the parameters trained" in shown and "of 2" in shown
    assert (tmp_path / "runs/train-your-own/run/bundle/manifest.json").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_is_committed_was_run_in_order_and_names_no_machine(path: Path) -> None:
    cells = [cell for cell in read(path.name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs and not any(output.get("name") == "stderr" for output in outputs)
    assert not re.search(r"/(tmp|home|root|work|Users|usr|var)/|[A-Z]:\\|Warning", json.dumps(outputs))
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_links_of_notebooks_lead_somewhere(path: Path) -> None:
    for cell in read(path.name).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!https?://)([^)#]+)", cell.source):
                assert (FOLDER / target).exists(), target
