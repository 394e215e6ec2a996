"""A model that learns the probabilities of another one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import rel_entr, softmax
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from architectures import make_backbone
from openmed_ner.bundle import Bundle
from openmed_ner.errors import RecipeError, RunError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.model.bundles import describe_backbone, load_model, merge_adapter
from openmed_ner.model.tagger import TokenTagger
from openmed_ner.tagging import SubwordTokenizer, WindowReader
from openmed_ner.tagging.batching import pad_windows
from openmed_ner.text import Document, Span
from openmed_ner.training.config import Distillation, Recipe
from openmed_ner.training.corpora import build_corpora
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.finetune import build_model, finetune
from openmed_ner.training.objectives import distillation
from openmed_ner.training.objectives.distillation import (
    SCORES,
    SoftTargets,
    TeacherModel,
    TeacherScores,
    map_subwords,
)
from openmed_ner.training.objectives.token_tags import TokenTagging
from openmed_ner.training.warm_start import open_start, open_trained
from sentences import DOCUMENTS, tiny_tokenizer
from tiny import CORPORA, make_recipe

HEADS = tuple(corpus.head for corpus in CORPORA)
TEXTS = list(dict.fromkeys(document.text for corpus in CORPORA for document in corpus.train))
READER = WindowReader(SubwordTokenizer(tiny_tokenizer()), HEADS, 64, 16)


def make_student(backbone: Path, teacher: Bundle, *, weight: float = 1.0, **schedule: object) -> Recipe:
    settings = Distillation(str(teacher.folder), weight=weight)
    return replace(make_recipe(backbone, **schedule), method="full", distillation=settings)


def open_teacher(bundle: Bundle, weight: float = 1.0) -> TeacherModel:
    return TeacherModel(open_trained(str(bundle.folder)), HEADS, Distillation("tiny", weight=weight))


def teach(bundle: Bundle, folder: Path, texts: Sequence[str] = (), weight: float = 1.0) -> SoftTargets:
    return read(open_teacher(bundle, weight), texts or TEXTS, folder)


def read(teacher: TeacherModel, texts: Sequence[str], folder: Path) -> SoftTargets:
    targets = teacher.soft_targets(folder, Processes(), "fp32")
    targets.prepare(texts)
    return targets


@given(
    logits=arrays(np.float16, (2, 5, 6), elements=st.floats(-8, 8, width=16)),
    temperature=st.floats(0.5, 4.0),
)
def test_the_divergence_is_that_of_scipy(logits: np.ndarray, temperature: float) -> None:
    teacher, student = logits
    expected = []
    for part in (slice(2), slice(2, 6)):
        right, predicted = (softmax(rows[:, part].astype(float) / temperature, axis=-1) for rows in logits)
        expected.append(temperature**2 * rel_entr(right, predicted).sum(axis=-1).mean())
    targets = SoftTargets(
        TeacherScores(Path("none"), {}), (2, 4), (0, 1), weight=1.0, temperature=temperature
    )
    heads = torch.from_numpy(student).float().split((2, 4), dim=-1)
    divergence = targets.divergence([teacher[:2], teacher[2:]], heads)
    assert divergence.item() == pytest.approx(np.mean(expected), rel=1e-3, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adapter", "full"])
def test_a_teacher_says_of_every_word_what_it_computes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its own order of heads and its own windows; a blank text has no word."""
    bundle: Bundle = request.getfixturevalue(f"{kind}_bundle")
    heads = HEADS[::-1]
    teacher = TeacherModel(open_trained(str(bundle.folder)), heads, Distillation("tiny"))
    texts = [*TEXTS, " ", " ".join(document.text for document in DOCUMENTS * 9)]
    targets = read(teacher, texts, tmp_path)
    model = merge_adapter(load_model(bundle))
    reader = WindowReader(READER.tokenizer, model.heads, bundle.manifest.window, bundle.manifest.overlap)
    for text in texts:
        for window in reader.windows(text):
            logits = model.run(*pad_windows([window], reader.tokenizer))[0][window.first_subwords + 1]
            expected = np.concatenate([logits[:, 3:], logits[:, :3]], axis=1)[window.owned]
            scores = targets.of(text, window)[window.owned]
            np.testing.assert_allclose(scores.astype(np.float32), expected, rtol=2e-3, atol=2e-3)
    assert targets.scores[" "].shape == (0, 6)


def test_a_teacher_reads_a_text_once_whatever_stops_the_run(
    full_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers are kept as they come; those of another teacher are none."""
    texts, seen = TEXTS, []
    answer = TeacherModel._score

    def stop(self: TeacherModel, batch: Sequence[str]) -> Iterator[np.ndarray]:
        for number, scores in enumerate(answer(self, batch)):
            if number == 5:
                raise KeyboardInterrupt
            yield scores

    def note(self: TeacherModel, batch: Sequence[str]) -> Iterator[np.ndarray]:
        seen.extend(batch)
        return answer(self, batch)

    monkeypatch.setattr(distillation, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(TeacherModel, "_score", stop)
    with pytest.raises(KeyboardInterrupt):
        teach(full_bundle, tmp_path)
    monkeypatch.setattr(TeacherModel, "_score", note)
    with caplog.at_level(logging.INFO, logger=distillation.__name__):
        resumed = teach(full_bundle, tmp_path, [*texts, "Other texts."])
    assert seen == [*texts[5:], "Other texts."]
    assert "the teacher has read 4 of 4 texts" in caplog.messages
    whole = teach(full_bundle, tmp_path / "anew")
    for text in texts:
        np.testing.assert_allclose(
            resumed.scores[text].astype(float), whole.scores[text].astype(float), atol=1e-2
        )
    seen.clear()
    teach(full_bundle, tmp_path, texts[::-1])
    assert seen == []
    one_head = TeacherModel(open_trained(str(full_bundle.folder)), HEADS[:1], Distillation("tiny"))
    one_head.soft_targets(tmp_path, Processes(), "fp32").prepare(texts)
    assert seen == texts


def test_scores_are_of_one_teacher_and_its_heads_in_order_or_refused(tmp_path: Path) -> None:
    """Two heads may have as many tags; a damaged file is named."""
    said = {"a b": np.ones((2, 6), np.float32), "": np.zeros((0, 6), np.float32)}
    identity = {"teacher": "0" * 64, "heads": "diseases chemicals"}
    TeacherScores(tmp_path, identity).add(said)
    scores = TeacherScores(tmp_path, identity)
    assert scores["a b"].tolist() == said["a b"].tolist() and scores[""].shape == (0, 6) and "c" not in scores
    assert "a b" not in TeacherScores(tmp_path, {**identity, "heads": "chemicals diseases"})
    scores.add({"c": np.full((1, 6), 2.0, np.float32)})
    files = list(tmp_path.iterdir())
    assert len(files) == 2 and TeacherScores(tmp_path, identity)["c"].tolist() == [[2.0] * 6]
    files[0].write_bytes(b"damaged")
    with pytest.raises(RunError, match=rf"cannot read .*{files[0].name}: .*; remove the file to start over"):
        TeacherScores(tmp_path, identity)
    files[0].unlink()
    assert ("a b" in TeacherScores(tmp_path, identity)) != ("c" in TeacherScores(tmp_path, identity))

    (path,) = tmp_path.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="another SHA-256"):
        TeacherScores(tmp_path, identity)


def test_there_is_nothing_to_learn_from_a_teacher_that_is_the_start(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = replace(make_student(backbone, full_bundle, dropout=0.0), start=str(full_bundle.folder))
    start = open_start(recipe, describe_backbone(str(backbone), backbone))
    targets = teach(full_bundle, tmp_path)

    def loss_of(*layers: int) -> float:
        model = build_model(replace(recipe, layers=layers), backbone, HEADS, start=start).eval()
        objective = TokenTagging(model, CORPORA, READER, schedule=recipe.schedule, seed=0)
        objective.soft_targets = targets
        return objective.loss(objective.examples).mean.item()

    assert abs(loss_of()) < 1e-4 and loss_of(0) > 0.01


@pytest.mark.slow
def test_a_teacher_is_heard_where_nobody_has_annotated(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    """One layer, and one document annotated of eight: the teacher's word is worth as much as the others."""
    diseases, chemicals = CORPORA
    corpora = (diseases, replace(chemicals, train=chemicals.train[:1]))
    recipe = replace(make_student(backbone, full_bundle, learning_rate=4e-3, warmup=0.3), layers=(1,))
    recipe = replace(recipe, start=str(full_bundle.folder))
    bundle = finetune(recipe, corpora, tmp_path / "run", name="student")
    record = bundle.read_json("run.json")
    history = record["history"]
    assert history["scores"][history["best_epoch"]]["chemicals"] == 1.0
    expected = {
        "teacher": "tiny",
        "ensemble": [],
        "texts": "",
        "scores": "stored",
        "weight": 1.0,
        "temperature": 2.0,
    }
    assert record["recipe"]["distillation"] == expected
    assert record["teacher"]["sha256"] == full_bundle.sha256
    card = bundle.read("README.md").decode("utf-8")
    assert "It started from the weights of tiny. It was also trained on the probabilities of tiny." in card
    assert str(full_bundle.folder) not in card + bundle.read("run.json").decode("utf-8")
    assert bundle.manifest.encoder_layers == (1,) and bundle.manifest.kind == "full"


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_teacher_of_another_kind_teaches_with_texts_that_nobody_annotates(
    method: str,
    full_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The student has other subwords than its teacher, and two documents; the other six are only texts."""
    backbone = make_backbone("roberta", tmp_path / "roberta")
    with (tmp_path / "texts.jsonl").open("w") as file:
        write_jsonl([Document(document.id, document.text) for document in DOCUMENTS], file)
    few = tuple(replace(corpus, train=corpus.train[:2], dev=corpus.dev[:1]) for corpus in CORPORA)
    recipe = replace(make_student(backbone, full_bundle, weight=0.5, epochs=1), method=method)
    settings = replace(recipe.distillation, texts=str(tmp_path / "texts.jsonl"))
    splits = {corpus.head: {"train": corpus.train, "dev": corpus.dev} for corpus in few}
    corpora = build_corpora(splits, replace(recipe, distillation=settings, leave_out="held-out"))
    assert [len(corpus.unlabelled) for corpus in corpora] == [7, 7], "one stands in dev"
    bundle = finetune(replace(recipe, distillation=settings), corpora, tmp_path / "run", name="student")
    record = bundle.read_json("run.json")
    assert record["recipe"]["distillation"]["texts"] == "texts.jsonl"
    assert record["data"]["diseases"]["unlabelled"]["documents"] == 7
    assert "start" not in record and record["teacher"]["name"] == "tiny"
    card = bundle.read("README.md").decode("utf-8")
    assert "It was also trained on the probabilities of tiny, on 7 texts without annotation as well." in card
    assert list((tmp_path / "run" / SCORES).iterdir())


def test_a_batch_that_nobody_annotates_is_learnt_from_the_teacher_alone(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    text = "Aspirin in rats with breast cancer."
    corpora = [replace(corpus, unlabelled=(Document("x", text),)) for corpus in CORPORA]
    recipe = make_student(backbone, full_bundle)
    model = build_model(recipe, backbone, HEADS).eval()
    objective = TokenTagging(model, corpora, READER, schedule=recipe.schedule, seed=0)
    objective.soft_targets = teach(full_bundle, tmp_path, [text], weight=0.5)
    (example,) = [example for example in objective.examples if not example.annotators]
    loss = objective.loss([example])
    assert loss.n_targets == 2 * len(example.window.first_subwords) and loss.mean.item() > 0
    loss.mean.backward()
    assert all(layer.weight.grad.abs().max() > 0 for layer in model.layers)


def test_a_teacher_reads_what_the_epochs_draw(full_bundle: Bundle, backbone: Path, tmp_path: Path) -> None:
    """Documents of weight 0.5 are read by half of the epochs; changed forms have no soft targets."""
    diseases, chemicals = CORPORA
    changed = Document("changed", "- ASTHMA")
    corpora = [replace(diseases, train=diseases.train[:4], augmented=(changed,)), chemicals]
    corpora[1] = replace(chemicals, train=chemicals.train[4:])
    recipe = make_student(backbone, full_bundle, epochs=1)
    weights = {"diseases": 0.5, "chemicals": 1.0}
    model = build_model(recipe, backbone, HEADS)
    objective = TokenTagging(model, corpora, READER, schedule=recipe.schedule, seed=1, weights=weights)
    drawn = {example.text for batch in objective.batches(0) for example in batch}
    objective.soft_targets = targets = open_teacher(full_bundle).soft_targets(tmp_path, Processes(), "fp32")
    objective.prepare(objective.batches(0))
    known = {text for text in (*TEXTS, changed.text) if text in targets.scores}
    assert known == drawn - {changed.text} and changed.text in drawn
    assert {document.text for document in corpora[1].train} <= drawn
    assert not {document.text for document in corpora[0].train} <= drawn


def test_a_changed_form_is_learnt_from_annotations_alone(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    changed = Document("changed", "- ASTHMA", (Span(2, 8, "Disease"),))
    corpora = [replace(CORPORA[0], augmented=(changed,)), CORPORA[1]]
    recipe = make_student(backbone, full_bundle, dropout=0.0)
    model = build_model(recipe, backbone, HEADS)
    objective = TokenTagging(model, corpora, READER, schedule=recipe.schedule, seed=0)
    (example,) = [example for example in objective.examples if example.is_augmented]
    alone = objective.loss([example]).mean.item()
    objective.soft_targets = teach(full_bundle, tmp_path, weight=1.0)
    assert objective.loss([example]).mean.item() == alone > 0

    # In a batch, the words of other texts have soft targets.
    others = [other for other in objective.examples if not other.is_augmented][:2]
    both = objective.loss([*others, example]).mean.item()
    assert both == pytest.approx(objective.loss(others).mean.item(), rel=1e-4)


def test_a_teacher_that_reads_along_says_what_it_would_have_said_before(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    """Batches have few shapes, so some rows are copies."""
    recipe = make_student(backbone, full_bundle, dropout=0.0, shapes=2)
    model = build_model(recipe, backbone, HEADS).eval()
    teacher = open_teacher(full_bundle)
    targets = (
        teach(full_bundle, tmp_path),
        teacher.online_targets(READER.tokenizer, Processes(), "fp32"),
    )
    stored, online = (
        TokenTagging(model, CORPORA, READER, schedule=recipe.schedule, seed=0) for _ in range(2)
    )
    stored.soft_targets, online.soft_targets = targets
    for batch in stored.batches(0):
        expected, loss = stored.loss(batch).mean, online.loss(batch).mean
        assert loss.item() == pytest.approx(expected.item(), rel=1e-2, abs=1e-3)
        loss.backward()

    other = json.loads(READER.tokenizer.to_json())
    other["model"]["continuing_subword_prefix"] = "@@"
    with pytest.raises(RecipeError, match="has other subwords"):
        map_subwords(SubwordTokenizer.from_json(json.dumps(other)), READER.tokenizer)


def test_an_ensemble_says_the_mean_of_what_its_models_say(
    full_bundle: Bundle, adapter_bundle: Bundle, tmp_path: Path
) -> None:
    """Stored and online."""
    sources = [open_trained(str(bundle.folder)) for bundle in (full_bundle, adapter_bundle)]
    settings = Distillation("full", ensemble=("adapter",))
    single = [
        read(TeacherModel(source, HEADS, settings), TEXTS, tmp_path / source.bundle.sha256)
        for source in sources
    ]
    teacher = TeacherModel(sources[0], HEADS, settings, ensemble=sources[1:])
    both = read(teacher, TEXTS, tmp_path / "both")
    for text in TEXTS:
        expected = np.mean([targets.scores[text] for targets in single], axis=0)
        np.testing.assert_allclose(both.scores[text], expected, rtol=1e-2, atol=1e-2)

    window = next(iter(READER.windows(TEXTS[0])))
    inputs = [torch.from_numpy(array) for array in pad_windows([window], READER.tokenizer)]
    columns = torch.from_numpy(window.first_subwords + 1)
    compute = teacher.online_targets(READER.tokenizer, Processes(), "fp32").compute
    assert compute is not None
    online = compute(inputs, torch.zeros_like(columns), columns)
    np.testing.assert_allclose(
        online[window.owned], both.of(TEXTS[0], window)[window.owned], rtol=1e-2, atol=1e-2
    )


def test_models_of_an_ensemble_share_the_same_heads(full_bundle: Bundle) -> None:
    first = open_trained(str(full_bundle.folder))
    second = replace(first, model=TokenTagger(first.model.encoder, HEADS[:1]))
    with pytest.raises(RecipeError, match=r"distillation\.ensemble: .* shares other heads"):
        TeacherModel(first, HEADS, Distillation("full", ensemble=("other",)), ensemble=[second])


def test_subwords_are_found_in_another_vocabulary() -> None:
    """The teacher numbers its subwords in reverse, and frames a text by others."""
    words = ["aspirin", "cancer", "##s", "of", "the"]
    student = word_pieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words], frame=("[CLS]", "[SEP]"))
    teacher = word_pieces([*reversed(words), "<s>", "</s>", "[UNK]", "<pad>", "[CLS]"], frame=("<s>", "</s>"))
    ids = map_subwords(student, teacher)
    names = teacher.vocabulary
    assert [names[number] for number in ids] == ["<pad>", "[UNK]", "<s>", "</s>", *words]


def word_pieces(names: Sequence[str], *, frame: tuple[str, str]) -> SubwordTokenizer:
    """A tokenizer of some subwords, framed by two of them."""
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    first, last = frame
    tokenizer.post_processor = processors.BertProcessing((last, vocabulary[last]), (first, vocabulary[first]))
    return SubwordTokenizer(tokenizer)


def test_few_shapes_change_no_loss(backbone: Path) -> None:
    """Batches have two padded lengths and full rows; every example is read once, and the loss is the same."""
    losses = {}
    for shapes in (0, 2):
        recipe = make_recipe(backbone, dropout=0.0, shapes=shapes, batch_subwords=128)
        model = build_model(recipe, backbone, HEADS).eval()
        objective = TokenTagging(model, CORPORA, READER, schedule=recipe.schedule, seed=0)
        batches = objective.batches(0)
        assert sorted(id(example) for batch in batches for example in batch) == sorted(
            map(id, objective.examples)
        )
        results = [objective.loss(batch) for batch in batches]
        losses[shapes] = sum(result.mean.item() * result.n_targets for result in results)
        assert sum(result.n_subwords for result in results) == sum(
            len(example.window.ids) + 2 for example in objective.examples
        )
        if shapes:
            seen = {objective._pad([example.window for example in batch])[0].shape for batch in batches}
            assert len(seen) <= shapes and all(rows * width <= 128 for rows, width in seen)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


def test_without_weight_a_teacher_changes_nothing(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = make_student(backbone, full_bundle, dropout=0.0)
    model = build_model(recipe, backbone, HEADS)
    alone, along = (TokenTagging(model, CORPORA, READER, schedule=recipe.schedule, seed=0) for _ in range(2))
    along.soft_targets = teach(full_bundle, tmp_path, weight=0.0)
    for with_it, without in zip(along.batches(0), alone.batches(0), strict=True):
        assert along.loss(with_it).mean.item() == alone.loss(without).mean.item()


def test_a_head_that_the_teacher_lacks_learns_from_annotations_alone(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    """Of two students of a second head, only the one with annotations changes this head."""
    other = replace(HEADS[0], corpus="other")
    recipe = make_student(backbone, full_bundle, epochs=1)
    teacher = TeacherModel(open_trained(str(full_bundle.folder)), (other, *HEADS), recipe.distillation)
    texts = [document.text for document in CORPORA[0].train]
    targets = read(teacher, texts, tmp_path)
    assert targets.heads == tuple(range(1, 1 + len(HEADS)))
    assert targets.scores[texts[0]].shape[1] == sum(len(head.tags) for head in HEADS)

    corpora = [replace(CORPORA[0], head=other, train=CORPORA[0].train[:1]), *CORPORA]
    model = build_model(recipe, backbone, [corpus.head for corpus in corpora])
    reader = WindowReader(SubwordTokenizer(tiny_tokenizer()), model.heads, 64, 16)
    objective = TokenTagging(model, corpora, reader, schedule=recipe.schedule, seed=0)
    objective.soft_targets = targets
    for batch in objective.batches(0):
        model.zero_grad()
        objective.loss(batch).mean.backward()
        annotated = any(0 in example.annotators for example in batch)
        assert (model.layers[0].weight.grad is not None) == annotated
        assert model.layers[1].weight.grad is not None


def test_a_teacher_has_to_know_a_head(full_bundle: Bundle, backbone: Path) -> None:
    source, settings = open_trained(str(full_bundle.folder)), Distillation("tiny")
    for head in (replace(HEADS[0], corpus="other"), replace(HEADS[0], labels=("Disease", "Drug"))):
        with pytest.raises(RecipeError, match=f"'tiny' has no head of {head.corpus} with the same tags"):
            TeacherModel(source, (head,), settings)
    for name, value in (
        ("weight", 1.5),
        ("temperature", 0.0),
        ("texts", "notes.jsonl"),
        ("ensemble", ("other",)),
    ):
        with pytest.raises(RecipeError, match=f"distillation.{name}"):
            Distillation(**{**asdict(Distillation()), name: value})
