from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import get_cosine_schedule_with_warmup

from openmed_ner.bundle import Bundle
from openmed_ner.errors import CorpusError, InputError, RecipeError, RunError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging import Head, SubwordTokenizer, WindowReader, predict
from openmed_ner.tagging.batching import padded_length
from openmed_ner.tagging.document_decoding import DOCUMENT_MODES
from openmed_ner.text import Account, Document, Span
from openmed_ner.training.config import PretrainRecipe, Recipe, Schedule
from openmed_ner.training.corpora import build_corpora
from openmed_ner.training.engine import loop
from openmed_ner.training.engine.loop import CHECKPOINT, StepReport, Trainer, learning_rate
from openmed_ner.training.finetune import build_model, finetune
from openmed_ner.training.objectives import token_tags
from openmed_ner.training.objectives.token_tags import (
    IGNORED,
    TokenTagging,
    TrainingCorpus,
    draw_dev,
    make_examples,
)
from openmed_ner.training.recipes import read_recipe
from openmed_ner.training.search import search
from openmed_ner.training.study.plan import iter_adaptations, iter_runs, read_study
from sentences import DOCUMENTS, tiny_tokenizer
from tiny import CORPORA, make_recipe

READER = WindowReader(SubwordTokenizer(tiny_tokenizer()), tuple(corpus.head for corpus in CORPORA), 64, 16)


def test_eight_sentences_are_learnt_by_heart(adapter_bundle: Bundle, full_bundle: Bundle) -> None:
    for bundle in (adapter_bundle, full_bundle):
        history = bundle.read_json("run.json")["history"]
        assert history["scores"][history["best_epoch"]] == {"diseases": 1.0, "chemicals": 1.0, "score": 1.0}


@pytest.mark.slow
def test_stop_and_resume_equals_no_stop(backbone: Path, tmp_path: Path) -> None:
    recipe = make_recipe(backbone, epochs=4, dropout=0.1, precision="auto")

    def run(folder: Path, *, stop_after: int | None) -> list[float]:
        losses: list[float] = []

        def on_step(report: StepReport) -> None:
            if report.scores is None:
                losses.append(report.loss)
                if report.step == stop_after:
                    raise KeyboardInterrupt

        finetune(recipe, CORPORA, folder, name="tiny", resume=True, checkpoint_seconds=0.0, on_step=on_step)
        return losses

    whole = run(tmp_path / "whole", stop_after=None)
    expected = (tmp_path / "whole" / "best.safetensors").read_bytes()
    for stop in (1, len(whole) // 4, len(whole) // 2 + 1):
        folder = tmp_path / str(stop)
        with pytest.raises(KeyboardInterrupt):
            run(folder, stop_after=stop)
        resumed = run(folder, stop_after=None)
        assert len(whole) - stop <= len(resumed) < len(whole) + (stop == 1)
        assert resumed == whole[-len(resumed) :]
        assert (folder / "best.safetensors").read_bytes() == expected


@pytest.mark.slow
def test_a_run_with_a_time_limit_ends_in_time_with_a_full_schedule(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock gains a second whenever it is asked, so a step takes a second. A stop changes nothing."""
    seconds = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    recipe = make_recipe(backbone, epochs=100, minutes=0.5, warmup=0.2)
    rates: list[float] = []

    def on_step(report: StepReport) -> None:
        if report.scores is None:
            rates.append(report.learning_rate)
            if len(rates) == 7:
                raise KeyboardInterrupt

    def run() -> Bundle:
        return finetune(
            recipe, CORPORA, tmp_path, name="tiny", resume=True, checkpoint_seconds=0.0, on_step=on_step
        )

    with pytest.raises(KeyboardInterrupt):
        run()
    history = run().read_json("run.json")["history"]
    assert 30 <= history["seconds"] <= 31
    assert len(history["scores"]) < 100

    peak = recipe.schedule.learning_rate
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) > 0.9 * peak and rates[-1] < 0.05 * peak


def test_the_same_seed_gives_the_same_weights(backbone: Path, tmp_path: Path) -> None:
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        finetune(replace(make_recipe(backbone, epochs=1), seed=seed), CORPORA, tmp_path / name, name="tiny")
        results.append((tmp_path / name / "best.safetensors").read_bytes())
    assert results[0] == results[1] != results[2]


def test_a_checkpoint_of_another_run_is_refused(backbone: Path, tmp_path: Path) -> None:
    finetune(make_recipe(backbone, epochs=1), CORPORA, tmp_path, name="tiny")
    with pytest.raises(RunError, match="already holds a run"):
        finetune(make_recipe(backbone, epochs=1), CORPORA, tmp_path, name="tiny")
    with pytest.raises(RunError, match="other settings"):
        finetune(make_recipe(backbone, epochs=2), CORPORA, tmp_path, name="tiny", resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b"damaged")
    with pytest.raises(RunError, match="remove the file"):
        finetune(make_recipe(backbone, epochs=1), CORPORA, tmp_path, name="tiny", resume=True)


def test_a_finished_run_resumes_to_the_same_bundle(backbone: Path, tmp_path: Path) -> None:
    recipe = make_recipe(backbone, epochs=2)
    first = finetune(recipe, CORPORA, tmp_path, name="tiny")
    heads = (first.folder / "adapter/tiny/heads.safetensors").read_bytes()
    second = finetune(recipe, CORPORA, tmp_path, name="tiny", resume=True)
    assert (second.folder / "adapter/tiny/heads.safetensors").read_bytes() == heads
    assert len(second.read_json("run.json")["history"]["scores"]) == 2


def test_patience_ends_a_run(backbone: Path, tmp_path: Path) -> None:
    recipe = make_recipe(backbone, epochs=30, patience=2, learning_rate=1e-9)
    history = finetune(recipe, CORPORA, tmp_path, name="tiny").read_json("run.json")["history"]
    assert len(history["scores"]) == history["best_epoch"] + 3 < 30


def test_a_perfect_score_ends_a_run(backbone: Path, tmp_path: Path) -> None:
    recipe = make_recipe(backbone, epochs=60, patience=60)
    history = finetune(recipe, CORPORA, tmp_path, name="tiny").read_json("run.json")["history"]
    scores = [epoch["score"] for epoch in history["scores"]]
    assert scores[-1] == 1.0 > max(scores[:-1])
    assert len(scores) < 60


def test_a_diverging_run_stops_with_advice(backbone: Path, tmp_path: Path) -> None:
    recipe = replace(make_recipe(backbone, learning_rate=1e30, clip=1e30, warmup=0.0), method="full")
    with pytest.raises(RunError, match="learning_rate"):
        finetune(recipe, CORPORA, tmp_path, name="tiny")


@given(n_steps=st.integers(1, 300), warmup=st.floats(0, 0.9))
def test_the_schedule_is_that_of_transformers(n_steps: int, warmup: float) -> None:
    schedule = Schedule(learning_rate=1.0, warmup=warmup)
    rates = [learning_rate(step, n_steps=n_steps, schedule=schedule) for step in range(n_steps)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    import math

    scheduler = get_cosine_schedule_with_warmup(optimizer, math.ceil(warmup * n_steps), n_steps)
    for rate in rates:
        assert rate == pytest.approx(scheduler.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_a_text_that_two_corpora_annotate_is_read_once() -> None:
    examples, accounts = make_examples(CORPORA, READER)
    assert len(examples) == len(DOCUMENTS)
    assert {name: account.kept for name, account in accounts.items()} == {"diseases": 8, "chemicals": 6}


def test_a_head_learns_nothing_from_another_corpus(backbone: Path) -> None:
    half = (
        TrainingCorpus(CORPORA[0].head, CORPORA[0].train[:4], CORPORA[0].dev),
        TrainingCorpus(CORPORA[1].head, CORPORA[1].train[4:], CORPORA[1].dev),
    )
    recipe = make_recipe(backbone)
    model = build_model(recipe, backbone, READER.heads)
    objective = TokenTagging(model, half, READER, schedule=recipe.schedule, seed=0)
    first = next(example for example in objective.examples if (example.tags[:, 1] == IGNORED).all())
    objective.loss([first]).mean.backward()
    assert model.layers[0].weight.grad is not None
    assert model.layers[1].weight.grad is None


def test_every_word_is_trained_on_once_however_long_the_text() -> None:
    text = " ".join(document.text for document in DOCUMENTS * 5)
    examples, _ = make_examples([TrainingCorpus(CORPORA[0].head, (Document("long", text),), ())], READER)
    assert len(examples) > 5
    n_trained = sum(int((example.tags != IGNORED).sum()) for example in examples)
    assert n_trained == 5 * sum(
        len(next(READER.tokenizer.iter_encodings(document.text)).starts) for document in DOCUMENTS
    )


def test_window_lengths_are_drawn_per_text_and_by_the_seed() -> None:
    words = [f"w{number}" for number in range(90)]
    texts = [Document(str(number), " ".join([f"t{number}", *words])) for number in range(20)]
    corpora = [TrainingCorpus(CORPORA[0].head, tuple(text.with_spans([]) for text in texts), ())]

    def lengths(seed: int) -> dict[str, int]:
        examples, _ = make_examples(corpora, READER, window_lengths=(40, 60), seed=seed)
        longest: dict[str, int] = {}
        for example in examples:
            longest[example.text] = max(longest.get(example.text, 0), len(example.window.ids) + 2)
        return longest

    assert len(lengths(0)) == len(texts)
    assert {length > 40 for length in lengths(0).values()} == {False, True}
    assert max(lengths(0).values()) <= 60
    assert lengths(0) == lengths(0) != lengths(1)


@given(budget=st.integers(16, 200), epoch=st.integers(0, 3))
def test_every_epoch_holds_every_example_once(budget: int, epoch: int) -> None:
    objective = TokenTagging.__new__(TokenTagging)
    objective.examples, _ = make_examples(CORPORA, READER)
    objective._schedule = Schedule(batch_subwords=budget)
    objective._seed = 0
    objective._weights = np.ones(2)
    batches = objective.batches(epoch)
    for batch in batches:
        width = padded_length(max(len(example.window.ids) + 2 for example in batch))
        assert len(batch) == 1 or len(batch) * width <= budget
    assert sorted(id(example) for batch in batches for example in batch) == sorted(
        map(id, objective.examples)
    )
    assert [[id(example) for example in batch] for batch in objective.batches(epoch)] == [
        [id(example) for example in batch] for batch in batches
    ]


def test_weights_say_how_often_an_epoch_reads_a_corpus(backbone: Path) -> None:
    head = Head("third", ("Disease",))
    copies = tuple(replace(document, text=f"{document.text} ") for document in CORPORA[0].train)
    apart = (*CORPORA[:1], TrainingCorpus(head, copies, ()))
    recipe = make_recipe(backbone)
    model = build_model(recipe, backbone, [corpus.head for corpus in apart])
    reader = replace(READER, heads=tuple(corpus.head for corpus in apart))

    def count(weights: dict[str, float], epochs: int = 20) -> tuple[float, float]:
        objective = TokenTagging(model, apart, reader, schedule=recipe.schedule, seed=0, weights=weights)
        examples = [
            example for epoch in range(epochs) for batch in objective.batches(epoch) for example in batch
        ]
        seen = [(example.tags[:, 0] != IGNORED).any() for example in examples]
        return sum(seen) / (8 * epochs), (len(seen) - sum(seen)) / (8 * epochs)

    assert count({}) == (1, 1)
    assert count({"third": 2.0}) == (1, 2)
    assert count({"diseases": 0.5, "third": 1.5}) == pytest.approx((0.5, 1.5), abs=0.15)
    with pytest.raises(RecipeError, match=r"weights\.nowhere: .* expected diseases, third"):
        count({"nowhere": 1.0})
    with pytest.raises(RecipeError, match="a number above 0"):
        replace(recipe, weights={"third": 0.0})


@pytest.mark.slow
def test_what_another_model_tagged_teaches_beside_a_corpus(
    adapter_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    """One annotated document and what the tagger says of all eight are worth as much as eight."""
    path = tmp_path / "silver.jsonl"
    with path.open("w", encoding="utf-8") as file:
        write_jsonl(Tagger.load(adapter_bundle).pipe(DOCUMENTS), file)
    recipe = replace(make_recipe(backbone), silver=str(path), leave_out="nothing")
    corpora = build_corpora(
        {corpus.head: {"train": corpus.train[:1], "dev": corpus.dev} for corpus in CORPORA}, recipe
    )
    bundle = finetune(recipe, corpora, tmp_path / "run", name="student")
    record = bundle.read_json("run.json")
    assert max(scores["score"] for scores in record["history"]["scores"]) == 1.0
    assert record["accounts"]["diseases"]["kept"] == 1
    assert record["recipe"]["silver"] == "silver.jsonl"  # and not where on this machine it lies
    sizes = {
        name: data["documents"] for name, data in record["data"]["diseases"].items() if name != "left_out"
    }
    assert sizes == {"train": 1, "dev": 8, "silver": 8}
    assert "1/8; 8 tagged by another model" in bundle.read("README.md").decode("utf-8")


def test_documents_of_one_text_are_accounted_for() -> None:
    train = CORPORA[0].train
    other = [document.with_spans([Span(0, 1, "Disease")]) for document in train[:1]]
    examples, accounts = make_examples([replace(CORPORA[0], train=(*other, *train, *train))], READER)
    plain, expected = make_examples([CORPORA[0]], READER)
    assert [list(map(int, example.tags[:, 0])) for example in examples] == [
        list(map(int, example.tags[:, 0])) for example in plain
    ]
    n_spans = sum(len(document.spans) for document in train)
    reasons = {"is not in the last document of the same text": 1}
    assert accounts["diseases"] == expected["diseases"] + Account(0, 0, 1, reasons, n_spans)
    assert accounts["diseases"].total == 2 * n_spans + 1


def test_an_annotation_stands_above_a_silver_one_and_silver_texts_are_read_once() -> None:
    wrong = CORPORA[0].train[0].with_spans([Span(0, 9, "Disease")])
    silver = Document("silver", "Aspirin in rats.", ())
    corpora = (replace(CORPORA[0], silver=(wrong, silver)), replace(CORPORA[1], silver=(silver,)))
    examples, accounts = make_examples(corpora, READER)
    plain, expected = make_examples(CORPORA, READER)
    assert accounts == expected
    for example, other in zip(examples, plain, strict=False):
        assert (example.tags == other.tags).all() and example.annotators == (0, 1)
    (last,) = examples[len(plain) :]
    assert last.annotators == () and (last.tags != IGNORED).sum() == 2 * 4
    objective = TokenTagging.__new__(TokenTagging)
    objective._weights = np.array([3.0, 0.5])
    assert [objective._times(example, draw=0.9) for example in examples] == [3] * 8 + [1]


def test_silver_documents_must_fit_the_heads_and_no_held_out_text(backbone: Path, tmp_path: Path) -> None:
    path = tmp_path / "silver.jsonl"
    recipe = replace(make_recipe(backbone), silver=str(path))
    splits = {CORPORA[0].head: {"train": CORPORA[0].train[:1], "dev": CORPORA[0].dev[4:]}}

    def write(*documents: Document) -> None:
        with path.open("w", encoding="utf-8") as file:
            write_jsonl(documents, file)

    tagged = [
        document.with_spans(replace(span, corpus="diseases") for span in document.spans)
        for document in CORPORA[0].train
    ]
    write(*tagged)
    (corpus,) = build_corpora(splits, recipe)
    # Document 6 is too short to count as an overlap.
    silver = [document.id for document in corpus.silver]
    assert silver == ["0", "1", "2", "3", "6"]
    assert corpus.left_out == ("4", "5", "7")
    write(tagged[0].with_spans([replace(tagged[0].spans[0], corpus="other")]))
    with pytest.raises(CorpusError, match=r"silver\.jsonl: no entity is of diseases; tag it with a bundle"):
        build_corpora(splits, recipe)
    write(tagged[0].with_spans([replace(tagged[0].spans[0], label="Drug")]))
    with pytest.raises(CorpusError, match=r"silver\.jsonl: diseases has no label 'Drug'"):
        build_corpora(splits, recipe)
    with pytest.raises(InputError, match=r"missing\.jsonl"):
        build_corpora(splits, replace(recipe, silver=str(tmp_path / "missing.jsonl")))


def test_averaged_weights_are_what_is_scored_and_kept(backbone: Path, tmp_path: Path) -> None:
    """The kept weights are the average of all steps' weights, computed here a second time."""
    recipe = make_recipe(backbone, epochs=1, average=0.9)
    seen: list[dict[str, torch.Tensor]] = []

    class Spy(Trainer):  # type: ignore[type-arg]
        def _step(self, *arguments: object, **options: object) -> StepReport:
            report = super()._step(*arguments, **options)  # type: ignore[arg-type]
            seen.append({name: value.clone() for name, value in self._weights().items()})
            return report

    model = build_model(recipe, backbone, READER.heads)
    first = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    objective = TokenTagging(model, CORPORA, READER, schedule=recipe.schedule, seed=0)
    Spy(
        objective,
        schedule=recipe.schedule,
        seed=0,
        folder=tmp_path,
        checkpoint_seconds=60,
        on_step=lambda report: None,
    ).run()
    best = load_file(tmp_path / "best.safetensors")
    for name, value in first.items():
        for step, weights in enumerate(seen, start=1):
            decay = min(0.9, (1 + step) / (10 + step))
            value = decay * value + (1 - decay) * weights[name]
        torch.testing.assert_close(best[name], value, rtol=1e-4, atol=1e-6)
    assert not torch.equal(best[name], seen[-1][name])


@pytest.mark.slow
def test_a_stopped_run_averages_on(backbone: Path, tmp_path: Path) -> None:
    recipe = make_recipe(backbone, epochs=2, average=0.9)

    class StoppedError(Exception):
        pass

    def stop(report: StepReport) -> None:
        if report.step == 3:
            raise StoppedError

    whole = finetune(recipe, CORPORA, tmp_path / "whole", name="tiny")
    with pytest.raises(StoppedError):
        finetune(recipe, CORPORA, tmp_path / "parts", name="tiny", checkpoint_seconds=0.0, on_step=stop)
    parts = finetune(recipe, CORPORA, tmp_path / "parts", name="tiny", resume=True)
    for name in whole.manifest.files:
        if name.endswith(".safetensors"):
            assert parts.read(name) == whole.read(name)


def test_the_record_tells_how_the_model_came_about(adapter_bundle: Bundle) -> None:
    record = adapter_bundle.read_json("run.json")
    assert record["parameters"]["trained"] < record["parameters"]["total"]
    assert record["energy"]["mode"] in ("counter", "constant", "none")
    assert {len(data["train"]["sha256"]) for data in record["data"].values()} == {64}
    assert record["recipe"]["schedule"]["learning_rate"] == 5e-3
    assert (
        record["versions"]["torch"] == torch.__version__.split("+")[0] or "+" in record["versions"]["torch"]
    )


def test_a_corpus_needs_documents_on_both_sides(backbone: Path, tmp_path: Path) -> None:
    head = Head("none", ("Disease",))
    with pytest.raises(RecipeError, match="nothing to train on"):
        finetune(make_recipe(backbone), [], tmp_path, name="tiny")
    with pytest.raises(RecipeError, match="no dev documents"):
        finetune(make_recipe(backbone), [TrainingCorpus(head, DOCUMENTS, ())], tmp_path, name="tiny")
    with pytest.raises(CorpusError, match="no training documents"):
        finetune(make_recipe(backbone), [TrainingCorpus(head, (), DOCUMENTS)], tmp_path, name="tiny")


def test_a_final_model_learns_from_dev_and_keeps_the_last_epoch(backbone: Path, tmp_path: Path) -> None:
    """Nothing is left to choose by, so no epoch can be preferred to a later one."""
    recipe = replace(make_recipe(backbone, epochs=3), learn="train+dev")
    head = CORPORA[0].head
    halves = {"train": CORPORA[0].train[:4], "dev": CORPORA[0].train[4:7], "test": CORPORA[0].train[7:]}
    (corpus,) = build_corpora({head: halves}, recipe)
    assert corpus.train == CORPORA[0].train[:7] and not corpus.dev
    (chosen,) = build_corpora({head: halves}, replace(recipe, learn="train"))
    assert (chosen.train, chosen.dev) == (halves["train"], halves["dev"])
    (leaking,) = build_corpora({head: {**halves, "test": halves["dev"]}}, recipe)
    assert set(leaking.left_out) <= {document.id for document in halves["dev"]} and leaking.left_out
    record = finetune(recipe, [corpus], tmp_path, name="tiny").read_json("run.json")
    assert record["history"]["best_epoch"] == 2 and record["history"]["scores"] == [{}, {}, {}]
    last = load_file(tmp_path / "checkpoint.safetensors")
    for name, value in load_file(tmp_path / "best.safetensors").items():
        assert torch.equal(value, last[f"weight/{name}"])
    assert "Trained on the dev splits, too" in (tmp_path / "bundle/README.md").read_text()
    with pytest.raises(RecipeError, match="a search compares trials on dev"):
        search(recipe, [corpus], tmp_path / "search", name="tiny")


def test_a_final_model_can_keep_the_dev_split_of_some_corpora() -> None:
    """What is kept selects the epoch and is held out from the others; the rest is trained on."""
    halves = {"train": DOCUMENTS[:4], "dev": DOCUMENTS[4:7], "test": DOCUMENTS[7:]}
    first, second = Head("ncbi-disease", ("Disease",)), Head("cll", ("CellLine",))
    names = (first.corpus, second.corpus)
    recipe = Recipe(corpora=names, learn="train+dev", keep_dev=(second.corpus,))
    learnt, kept = build_corpora({first: halves, second: halves}, recipe)
    assert not learnt.dev and kept.dev == halves["dev"]
    assert learnt.left_out and not set(learnt.left_out) & {document.id for document in kept.train}
    learnt, kept = build_corpora({first: halves, second: halves}, replace(recipe, leave_out="nothing"))
    assert (learnt.train, kept.train) == (DOCUMENTS[:7], halves["train"])
    with pytest.raises(RecipeError, match="keep_dev"):
        replace(recipe, learn="train")
    with pytest.raises(RecipeError, match="keep_dev"):
        replace(recipe, keep_dev=("unknown",))


def test_windows_longer_than_the_backbone_are_refused(backbone: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="at most 96"):
        finetune(replace(make_recipe(backbone), window=97), CORPORA, tmp_path, name="tiny")


@pytest.mark.slow
def test_processes_that_read_change_no_run(backbone: Path, tmp_path: Path) -> None:
    recipe = replace(make_recipe(backbone, epochs=2), window_lengths=(40, 80), dev_documents=5)
    runs = [
        finetune(recipe, CORPORA, tmp_path / str(readers), name="tiny", readers=readers) for readers in (1, 2)
    ]
    histories = [bundle.read_json("run.json")["history"] for bundle in runs]
    assert (
        histories[0]["scores"] == histories[1]["scores"] and histories[0]["losses"] == histories[1]["losses"]
    )


def test_dev_documents_are_drawn_by_their_texts() -> None:
    documents = [Document(str(number), f"text {number}") for number in range(9)]
    drawn = draw_dev(documents, 4)
    assert len(drawn) == 4 and draw_dev(documents[::-1], 4) == drawn
    assert draw_dev(documents, 0) == draw_dev(documents, 9) == documents


def test_recipes_in_the_repository_are_valid() -> None:
    folder = Path(__file__).parents[2] / "recipes"
    runs = {
        "adaptation": 26,
        "broad": 4,
        "cpu": 10,
        "cpu-hours": 2,
        "gpu": 4,
        "joint": 5,
        "paper": 78,
        "search": 2,
        "suite": 18,
        "toy": 6,
    }
    for path in folder.glob("*.toml"):
        if path.stem in ("adapt-lora", "adapt-full"):
            assert read_recipe(path, kind=PretrainRecipe).subwords >= 12_000_000
        elif path.stem in runs:
            study = read_study(path)
            n_adapted = len(study.adaptations) * max(1, len(study.backbones))
            assert len(list(iter_adaptations(study))) == n_adapted
            assert len(list(iter_runs(study))) == runs[path.stem]
        elif "adapt" not in path.stem:
            assert read_recipe(path, kind=Recipe).corpora


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("shedule.epochs=3", "did you mean schedule"),
        ("schedule.epoch=3", "did you mean schedule.epochs"),
        ("schedule.epochs=three", "expected int"),
        ("schedule.epochs=0", "above 0"),
        ("schedule.warmup=1", "from 0 to below 1"),
        ("method=magic", "lora, full"),
        ("lora=3", "a group of settings"),
        ("seed.x=3", "not a group|whole|group"),
        ("window", "key=value"),
        ("overlap=400", "at most half"),
        ("corpora=ncbi-disease", "a list"),
    ],
)
def test_a_wrong_setting_is_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(None, [override] if override != "seed.x=3" else ["seed=1", override], kind=Recipe)


def test_overrides_reach_every_group(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("seed = 1\n[lora]\nrank = 4\n", encoding="utf-8")
    recipe = read_recipe(
        path, ["lora.targets=query-value", "schedule.learning_rate=1e-4"], kind=Recipe, seed=7
    )
    assert (recipe.seed, recipe.lora.rank, recipe.lora.targets) == (7, 4, "query-value")
    assert recipe.schedule.learning_rate == 1e-4
    assert json.loads(json.dumps(asdict(recipe)))["lora"]["rank"] == 4
    assert Recipe() == read_recipe(None, kind=Recipe)
    with pytest.raises(RecipeError, match=r"missing\.toml"):
        read_recipe(tmp_path / "missing.toml", kind=Recipe)
    path.write_text("seed = [", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"recipe\.toml"):
        read_recipe(path, kind=Recipe)


def test_dev_is_scored_with_document_decoding_if_the_recipe_says_so(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def record(*arguments: Any, **options: Any) -> Iterator[Document]:
        modes.append(options["modes"])
        return predict(*arguments, **options)

    monkeypatch.setattr(token_tags, "predict", record)
    for mode in DOCUMENT_MODES[:2]:
        recipe = replace(make_recipe(backbone, epochs=1), document_decoding=mode)
        finetune(recipe, CORPORA[:1], tmp_path / mode, name="tiny")
        assert modes.pop() == {"diseases": mode}
