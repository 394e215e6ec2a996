"""What a GPU is asked for: nothing in a step, so that it never waits for the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from architectures import make_backbone
from openmed_ner.model import tagger
from openmed_ner.model.tagger import TokenTagger, load_encoder, make_lexicon
from openmed_ner.tagging import SubwordTokenizer, WindowReader
from openmed_ner.training.config import Schedule
from openmed_ner.training.engine.loop import Trainer
from openmed_ner.training.objectives.distillation import SoftTargets, TeacherScores
from openmed_ner.training.objectives.token_tags import Example, TokenTagging
from tiny import CORPORA

QUESTIONS = ("_local_scalar_dense", "nonzero", "masked_select", "unique")
"""Operations whose result, or the size of it, the program has to know: on a GPU, it waits for them."""


class Questions(TorchDispatchMode):
    """Lists the questions that are asked in a block. Losses are read as a list, which is no operation."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in QUESTIONS):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def make_trainer(kind: str, attention: str, folder: Path) -> Trainer[list[Example]]:
    """A trainer with a lexicon, an online teacher, fixed shapes, bf16 and an average."""
    backbone = make_backbone(kind, folder / kind)
    heads = tuple(corpus.head for corpus in CORPORA)
    tokenizer = SubwordTokenizer.from_json((backbone / "tokenizer.json").read_text())
    encoders = [load_encoder(backbone, attention=attention) for _ in range(2)]
    student, teacher = (
        TokenTagger(encoder, heads, lexicon=make_lexicon(encoder, dropout=0.3)) for encoder in encoders
    )

    def compute(inputs: Any, rows: Any, columns: Any) -> torch.Tensor:
        with torch.no_grad():
            states = teacher.hidden(*inputs)[rows, columns]
            return torch.cat([layer(states) for layer in teacher.layers], dim=-1)

    schedule = Schedule(epochs=2, batch_subwords=160, shapes=2, average=0.9, precision="bf16")
    objective = TokenTagging(
        student, CORPORA, WindowReader(tokenizer, heads, 80, 16), schedule=schedule, seed=0
    )
    sizes = tuple(len(head.tags) for head in heads)
    objective.soft_targets = SoftTargets(TeacherScores(folder, {}), sizes, (0, 1), 0.5, 2.0, compute=compute)
    return Trainer(
        objective,
        schedule=schedule,
        seed=0,
        folder=folder / "run",
        checkpoint_seconds=1e9,
        on_step=lambda report: None,
    )


@pytest.mark.parametrize(("kind", "attention"), [("bert", "sdpa"), ("mpnet", "eager")])
def test_a_step_asks_the_gpu_for_nothing(
    kind: str, attention: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor, with the path of a GPU; without it, transformers asks about every mask."""
    trainer = make_trainer(kind, attention, tmp_path)
    batches = trainer.objective.batches(0)

    def count(step: int) -> int:
        with Questions() as questions:
            pending = trainer._step(batches[step : step + 1], epoch=0, n_steps=8)
        assert torch.isfinite(pending.means).all()
        return len(questions.found)

    assert count(0) == 2, "one about the mask of the student, one about that of the teacher"
    monkeypatch.setattr(tagger, "WAITING", ("cpu", "cuda"))
    assert count(1) == 0


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", ["bert", "electra", "mpnet", "roberta"])
def test_a_full_mask_hides_the_same_subwords(
    kind: str, attention: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (kind, attention) == ("mpnet", "sdpa"):
        pytest.skip("MPNet has no such attention")
    encoder = load_encoder(make_backbone(kind, tmp_path / kind), attention=attention)
    model = TokenTagger(encoder, [CORPORA[0].head]).eval()
    ids = torch.arange(5, 37).view(2, 16)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    plain = model(ids, mask)
    monkeypatch.setattr(tagger, "WAITING", ("cpu", "cuda"))
    torch.testing.assert_close(model(ids, mask)[mask == 1], plain[mask == 1], rtol=1e-5, atol=1e-5)
