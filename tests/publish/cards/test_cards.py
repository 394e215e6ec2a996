"""Cards say what the records say: whole ones are pinned, and every figure is traced to its input."""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from openmed_ner.bundle import BackboneReference, FileEntry, Manifest, open_bundle, seal
from openmed_ner.cli.app import app
from openmed_ner.corpora import CATALOG
from openmed_ner.errors import InputError
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.publish.cards import describe_model, find_sources
from openmed_ner.publish.cards.data import describe_corpus, describe_passage_set
from openmed_ner.publish.cards.documentation import DISCLAIMER, list_open_points, write_documentation
from openmed_ner.publish.cards.energy import (
    EnergyStep,
    ModelEnergy,
    find_steps,
    list_models,
    report_energy,
    write_energy,
)
from openmed_ner.publish.cards.markdown import NOT_RECORDED, OPEN, table
from openmed_ner.publish.cards.metadata import dataset_revision
from openmed_ner.tagging import Head
from strategies import at_most

PINNED = Path(__file__).parents[2] / "pinned"
NUMBER = re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?")
BACKBONE = BackboneReference("tiny", "owner/tiny", "", "0" * 64, "MIT")
TAGGER = Manifest(
    name="tiny-ner",
    kind="runtime",
    version="1.2.3",
    heads=(Head("ncbi-disease", ("Disease",)), Head("gellus", ("CellLine",)), Head("mine", ("Drug",))),
    window=64,
    overlap=16,
    backbone=BACKBONE,
    precision="int8",
    files={"model.onnx": FileEntry(1234, "1" * 64), "run.json": FileEntry(567, "2" * 64)},
)
ENCODER = replace(TAGGER, name="tiny-adapted", kind="adapter", heads=(), precision="fp32", files={})
COUNTS = {"read": 1200, "kept": 1000, "dropped": {"short": 150, "held-out": 50}}
ADAPTATION: dict[str, Any] = {
    "recipe": {"method": "lora", "seed": 3, "licences": "all", "weights": {"unread": 0.0}},
    "parameters": {"trained": 1021, "total": 100_003, "share": 0.0102},
    "held_out": {"passages": 507, "before": {"perplexity": 90.25}, "after": {"perplexity": 30.5}},
    "history": {"subwords": 2_000_017, "seconds": 660.0},
    "energy": {"kwh": 0.0125, "co2e_kg": 0.0051, "country": "FRA", "mode": "constant"},
    "passages": {
        "sources": [
            {"name": "medquad", "licence": "CC BY 4.0", "licence_class": "permissive", **COUNTS},
            {
                "name": "closed",
                "licence": "ask",
                "licence_class": "non-commercial",
                "home": "x.org",
                **COUNTS,
            },
            {"name": "unread", "licence": "none", "licence_class": "unknown", **COUNTS},
        ],
        "guard": {"mode": "catalog", "splits": {"a/dev": {}, "a/test": {}}},
    },
    "commit": "feed",
}
RECORD: dict[str, Any] = {
    "recipe": {"method": "lora", "seed": 7, "window": 64, "leave_out": "held-out", "lora": {"rank": 8}},
    "commit": "abcd",
    "versions": {"openmed-ner": "1.2.3", "torch": "2.0"},
    "host": {"processor": "Example CPU", "cores": 2},
    "data": {
        "ncbi-disease": {
            "train": {"documents": 592, "sha256": "3" * 64},
            "dev": {"documents": 101, "sha256": "4" * 64},
        },
        "gellus": {"train": {"documents": 18}, "dev": {"documents": 13}, "left_out": ["a", "b"]},
        "mine": {"train": {"documents": 38}, "dev": {"documents": 14}},
    },
    "parameters": {"trained": 1009, "total": 100_001, "share": 0.01009},
    "history": {"best_epoch": 1, "scores": [{}, {}, {}], "seconds": 600.0},
    "energy": {"kwh": 0.0225, "co2e_kg": 0.0083, "country": "FRA", "mode": "counter"},
    "adaptation": ADAPTATION,
}


def make_score(corpus: str, split: str, f1: float) -> dict[str, Any]:
    rules = {
        "strict": f1,
        "boundary": f1 + 0.01,
        "type": f1 + 0.02,
        "overlap": f1 + 0.03,
        "partial": f1 + 0.04,
    }
    return {
        "corpus": corpus,
        "split": split,
        "protocol": "mention",
        "documents": 97,
        "micro": {"precision": f1 + 0.002, "recall": f1 - 0.002, "f1": f1, "ci95": [f1 - 0.11, f1 + 0.12]},
        "matching": {rule: {"f1": value} for rule, value in rules.items()},
        "seen": {"f1": f1 + 0.1},
        "unseen": {"f1": f1 - 0.2},
        "calibration": {"ece": 0.0543},
        "errors": {"missed": 45, "boundary-left": 6},
    }


SCORES = [make_score("ncbi-disease", "test", 0.8123), make_score("mine", "gold.jsonl", 0.7)]
PARITY: dict[str, Any] = {
    "span_agreement": 0.995,
    "documents": 613,
    "texts": "dev splits",
    "corpora": {"ncbi-disease": {"f1_difference": -0.00123}},
    "documents_per_second_reference": 20.04,
    "documents_per_second_exported": 40.5,
}
STATISTICS = [
    {
        "corpus": "jnlpba",
        "split": split,
        "documents": 1800,
        "sentences": 17_428,
        "words": 507_318,
        "mentions": {"DNA": 8481, "Protein": 27_803},
        "nested": 0,
        "discontinuous": 1,
        "unrepresentable": 19,
        "reading": {"reasons": {"stands in a document that is there twice": 3}},
    }
    for split in ("train", "dev")
]
OVERLAPS = [
    {"first": "jnlpba/train", "second": "jnlpba/test", "documents": 10, "sentences": 103},
    {"first": "bc2gm/train", "second": "jnlpba/test", "documents": 1, "sentences": 2},
]
ACCOUNT: dict[str, Any] = {
    "settings": {"language": "en", "licences": "all", "min_subwords": 50, "include": []},
    "tokenizer": {"sha256": "5" * 64},
    "guard": {
        "mode": "catalog",
        "sentences": 95_750,
        "splits": {"a/dev": {"documents": 3, "passages_dropped": 1}},
    },
    "sources": ADAPTATION["passages"]["sources"][:2],
    "total": {
        "read": 2400,
        "kept": 2000,
        "held_out": 100,
        "pieces": 3000,
        "subwords": 90_000,
        "subwords_held_out": 4000,
    },
    "shards": {
        "train-00000.safetensors": {"size": 99, "pieces": 3000, "subwords": 90_000, "sha256": "6" * 64}
    },
    "inputs": [{"name": "texts.jsonl", "sha256": "7" * 64}],
    "not_read": ["figure.png"],
    "skipped_articles": {"no text": 2},
}
BENCHMARK = {"bundle": "tiny-ner", "documents": 100, "engines": {"int8": {"wh_per_1000_documents": 0.303}}}


def write_report() -> str:
    models = [
        ModelEnergy("tiny-ner", ("ncbi-disease", "gellus"), tuple(find_steps(RECORD))),
        ModelEnergy("tiny-adapted", (), tuple(find_steps(ADAPTATION))),
        ModelEnergy("unmeasured", ("mine",), tuple(find_steps({"energy": {"kwh": None, "mode": "none"}}))),
    ]
    return write_energy(report_energy(models, BENCHMARK))


def describe_all(record: Any, scores: Any, parity: Any) -> str:
    """Write the two pages of a model that show all of its figures."""
    inputs = {"record": record, "scores": scores, "parity": parity}
    return describe_model(TAGGER, **inputs) + write_documentation(TAGGER, **inputs)


CARDS: dict[str, Callable[[], str]] = {
    "model": lambda: describe_model(TAGGER, record=RECORD, scores=SCORES, parity=PARITY),
    "model-without-records": lambda: describe_model(TAGGER, record={}),
    "encoder": lambda: describe_model(ENCODER, record=ADAPTATION),
    "corpus": lambda: describe_corpus(CATALOG["jnlpba"], statistics=STATISTICS, overlaps=OVERLAPS),
    "passages": lambda: describe_passage_set(ACCOUNT, "tiny-passages"),
    "energy": write_report,
    "documentation": lambda: write_documentation(TAGGER, record=RECORD, scores=SCORES, parity=PARITY),
}


@pytest.mark.parametrize("name", CARDS)
def test_the_whole_card_is_as_it_was(name: str, tmp_path: Path) -> None:
    path, text = PINNED / f"{name}.md", CARDS[name]()
    pinned = path.read_text(encoding="utf-8")
    if text != pinned:
        (tmp_path / path.name).write_text(text, encoding="utf-8")
        lines = difflib.unified_diff(pinned.splitlines(), text.splitlines(), "pinned", "now", lineterm="")
        pytest.fail("\n".join([*lines, f"if this is meant: cp {tmp_path / path.name} {path}"]), pytrace=False)


def test_the_hub_reads_scores_and_emissions() -> None:
    card = ModelCard(CARDS["model"]())
    results = {(result.dataset_type, result.metric_type): result for result in card.data.eval_results}
    assert len(results) == len(SCORES) * 3
    best = results["ncbi-disease", "f1"]
    assert best.metric_value == SCORES[0]["micro"]["f1"] and "mentions, strict" in best.metric_name
    assert (best.dataset_split, best.dataset_revision) == ("test", dataset_revision("ncbi-disease", "test"))
    assert results["mine", "f1"].dataset_revision is None
    data = card.data.to_dict()
    assert data["co2_eq_emissions"]["emissions"] == pytest.approx(8.3 + 5.1)
    assert data["co2_eq_emissions"]["geographical_location"] == "FRA"
    assert (data["license"], data["base_model"], data["base_model_relation"]) == (
        "apache-2.0",
        "owner/tiny",
        "finetune",
    )
    assert data["datasets"] == ["ncbi-disease", "gellus"], "a file of the user is no data set of the hub"
    assert data == yaml.safe_load(CARDS["model"]().split("---\n")[1])


@pytest.mark.parametrize("row", CATALOG.values(), ids=lambda row: row.name)
def test_every_corpus_of_the_catalog_has_a_card_with_its_terms(row: Any) -> None:
    text = describe_corpus(row)
    data = DatasetCard(text).data.to_dict()
    assert data["pretty_name"] == row.title and data["task_ids"] == ["named-entity-recognition"]
    assert row.licence in text and row.citation in text and row.note in text
    assert data["license"] in ("cc-by-4.0", "other", "unknown")
    assert "size_categories" not in data and NOT_RECORDED in text


def test_revisions_tell_the_splits_of_a_corpus_apart() -> None:
    for row in CATALOG.values():
        revisions = [dataset_revision(row.name, split) for split in row.splits]
        assert len(set(revisions)) == len(revisions) and None not in revisions
    assert dataset_revision("mine", "test") is None
    assert dataset_revision("bc4chemd", "train") is None


def iter_leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all numbers."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in pairs:
            yield from iter_leaves(child, (*path, key))
    elif isinstance(value, int | float):
        yield path


INPUTS = [RECORD, SCORES, PARITY]
LEAVES = [
    path
    for path in iter_leaves(INPUTS)
    if "unread" not in path and 2 not in path[4:5]  # passages that the recipe leaves out
]
OPTIONAL = ("dropped", "errors", "ci95", "window", "lora")
"""Counts by kind, where a kind that is missing was not seen, halves of a pair, and settings."""


def holder(inputs: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        inputs = inputs[key]
    return inputs


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_another_number_in_the_record_makes_another_card(path: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(INPUTS)
    place = holder(changed, path)
    place[path[-1]] = place[path[-1]] * 2 + 1
    assert describe_all(*changed) != describe_all(*INPUTS)


@pytest.mark.parametrize(
    "path",
    [path for path in LEAVES if not set(OPTIONAL) & set(path)],
    ids=lambda path: ".".join(map(str, path)),
)
def test_a_number_that_is_gone_is_said_to_be_missing(path: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(INPUTS)
    del holder(changed, path)[path[-1]]
    assert describe_all(*changed).count(NOT_RECORDED) > describe_all(*INPUTS).count(NOT_RECORDED)


DATA = [STATISTICS, OVERLAPS[:1], ACCOUNT, BENCHMARK]


def describe_data(statistics: Any, overlaps: Any, account: Any, benchmark: Any) -> str:
    corpus = describe_corpus(CATALOG["jnlpba"], statistics=statistics, overlaps=overlaps)
    return corpus + describe_passage_set(account, "x") + write_energy(report_energy([], benchmark))


@pytest.mark.parametrize("path", list(iter_leaves(DATA)), ids=lambda path: ".".join(map(str, path)))
def test_another_count_makes_another_data_card(path: tuple[Any, ...]) -> None:
    changed = copy.deepcopy(DATA)
    holder(changed, path)[path[-1]] += 7
    assert describe_data(*changed) != describe_data(*DATA)


def shown(value: float) -> set[str]:
    """Write a number in every form that a card may use."""
    forms = {"", ",", ".0f", ".1f", ".2f", ".3f", ".4g", "+.2f"}
    scales = (1, 100, 1000, 1 / 60)
    texts = {format(value * scale, form) for scale in scales for form in forms}
    return texts | {str(round(value, 6)), str(round(1000 * value, 6)), str(value + 1), json.dumps(value)}


@at_most(25)
@given(st.data())
def test_no_figure_comes_from_nowhere(data: st.DataObject) -> None:
    inputs = copy.deepcopy(INPUTS)
    for path in LEAVES:
        old = holder(inputs, path)[path[-1]]
        new = st.integers(2, 10**7) if isinstance(old, int) else st.floats(0.0011, 0.9989)
        holder(inputs, path)[path[-1]] = data.draw(new)
    steps = find_steps(inputs[0])
    numbers = [holder(inputs, path)[path[-1]] for path in LEAVES]
    numbers += [sum(step.kwh or 0 for step in steps), sum(step.co2e_kg or 0 for step in steps)]
    numbers += [step.kg_per_kwh or 0.0 for step in steps]
    numbers += [3, 2]  # epochs; splits of the guard and documents left out
    written = {figure for number in numbers for text in shown(number) for figure in NUMBER.findall(text)}
    fixed = set(
        NUMBER.findall(describe_all({}, (), None) + CARDS["encoder"]() + json.dumps(RECORD["versions"]))
    )
    fixed |= {"3" * 64, "4" * 64, "95"} | set(NUMBER.findall(dataset_revision("ncbi-disease", "test") or ""))
    fixed |= set(NUMBER.findall(DISCLAIMER + CATALOG["ncbi-disease"].citation))
    assert set(NUMBER.findall(describe_all(*inputs))) <= written | fixed


def test_sources_that_the_recipe_leaves_out_stand_on_no_card() -> None:
    names = [source.name for source in find_sources(TAGGER, RECORD)]
    assert names == ["tiny", "ncbi-disease", "gellus", "mine", "medquad", "closed"]
    permissive = copy.deepcopy(ADAPTATION)
    permissive["recipe"]["licences"] = "permissive"
    text = describe_model(ENCODER, record=permissive)
    assert "| medquad |" in text and "| closed |" not in text and "before any commercial use" not in text
    assert "Sources of the class non-commercial were read" in CARDS["encoder"]()


def test_a_corpus_that_nobody_knows_is_its_owners_to_describe() -> None:
    unknown = next(source for source in find_sources(TAGGER, RECORD) if source.name == "mine")
    assert (unknown.licence, unknown.citation) == ("stated by its owner", "")
    assert "A2.2: what these data sets are" in CARDS["documentation"]()


def test_a_model_of_own_documents_says_what_it_is_for_and_how_it_did_on_dev() -> None:
    own = replace(TAGGER, heads=(Head("mine", ("Drug",)),))
    history = {"best_epoch": 1, "scores": [{"mine": 0.5, "score": 0.5}, {"mine": 0.875, "score": 0.875}]}
    card = describe_model(own, record={**RECORD, "history": {**RECORD["history"], **history}})
    assert (
        "texts like those that their owner annotated (mine)" in card and "abstracts and articles" not in card
    )
    assert "F1 on the dev documents, which selected the epoch: mine 87.50." in card
    assert "abstracts and articles" in CARDS["model"]()


def test_names_cannot_break_the_table_or_the_front_matter() -> None:
    assert table(("a", "b"), [["x | y\n| z", "1"]]) == "| a | b |\n|---|---|\n| x \\| y \\| z | 1 |\n"
    evil = replace(TAGGER, name="a\n---\nlicense: evil", heads=(Head("b: [", ("Drug",)),))
    data = ModelCard(describe_model(evil, record={}, scores=[make_score("b: [", "x", 0.5)])).data
    assert data.license == "apache-2.0" and "datasets" not in data.to_dict()
    assert data.eval_results[0].dataset_type == "b: ["


def test_the_pack_has_all_headings_of_annex_iv_and_counts_what_is_open() -> None:
    text = CARDS["documentation"]()
    headings = re.findall(r"^## (\d)\. ", text, re.MULTILINE)
    assert headings == list("123456789")
    assert re.findall(r"^### 2\((.)\)", text, re.MULTILINE) == list("abcdefgh")
    assert re.findall(r"^## A(\d)\. ", text, re.MULTILINE) == list("123")
    points = list_open_points(text)
    assert len(points) == text.count(OPEN) and f"Still to be added: {len(points)} points" in text
    assert all(f"{number}. {point}\n" in text for number, point in enumerate(points, 1))
    assert DISCLAIMER in text and "not legal advice" in text


def test_the_pack_of_an_encoder_says_nothing_of_heads() -> None:
    text = write_documentation(ENCODER, record=ADAPTATION)
    assert "linear layer" not in text and "openmed-ner tag" not in text
    assert text.count("Perplexity on held-out pieces (507)") == 1
    assert "Sizes: adaptation: 2,000,017 subwords" in text


def test_energy_of_steps_adds_up_and_one_unmeasured_step_leaves_the_sum_open() -> None:
    steps = find_steps(RECORD)
    assert [step.name for step in steps] == ["adaptation", "fine-tuning"]
    whole = ModelEnergy("a", ("x", "y"), tuple(steps)).to_json()
    assert whole["kwh"] == pytest.approx(0.035) and whole["kwh_per_corpus"] == pytest.approx(0.0175)
    for step in steps:
        assert step.kwh is not None and step.kg_per_kwh is not None
        assert step.kwh * step.kg_per_kwh == pytest.approx(step.co2e_kg)
    unmeasured = EnergyStep.of("adaptation", {})
    assert ModelEnergy("a", ("x",), (*steps, unmeasured)).to_json()["kwh"] is None
    only_named = {"recipe": {"adapted": "other"}, "energy": RECORD["energy"]}
    assert find_steps(only_named)[0] == unmeasured
    assert "co2_eq_emissions" not in CARDS["model-without-records"]()


def test_an_encoder_of_a_study_is_counted_once() -> None:
    run = {"model": "m", "encoder": "lora", "seed": 0, "recipe": {"corpora": ["x"], "adapted": "lora"}}
    study = {"encoders": {"lora": ADAPTATION}, "runs": [{**run, **{"energy": RECORD["energy"]}}] * 2}
    models = list_models(study)
    assert [model.name for model in models] == ["encoder lora", "m/lora/0", "m/lora/0"]
    assert sum(model.to_json()["kwh"] for model in models) == pytest.approx(0.0125 + 2 * 0.0225)


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["cards", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_write_what_the_functions_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENMED_NER_CORPORA", raising=False)
    run("model", "-o", tmp_path / "card.md")
    assert (
        ModelCard((tmp_path / "card.md").read_text(encoding="utf-8")).data.pipeline_tag
        == "token-classification"
    )
    assert [row["role"] for row in json.loads(run("licences", "--json"))][:2] == ["backbone", "corpus"]
    assert "| ncbi-disease | corpus | United States Government" in run("licences")
    assert DISCLAIMER in run("documentation")
    assert run("data", "cll") == describe_corpus(CATALOG["cll"])
    counts, account = tmp_path / "counts.json", tmp_path / "set/passages.json"
    counts.write_text(json.dumps({"splits": STATISTICS, "overlaps": OVERLAPS}), encoding="utf-8")
    assert run("data", "jnlpba", "--statistics", counts) == CARDS["corpus"]()
    account.parent.mkdir()
    account.write_text(json.dumps({"format": 1, **ACCOUNT}), encoding="utf-8")
    assert run("passages", account.parent) == describe_passage_set(ACCOUNT, "set")


def test_a_new_card_leaves_every_other_file_of_the_bundle_alone(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(RECORD), encoding="utf-8")
    (folder / "README.md").write_text("an old card", encoding="utf-8")
    before = seal(folder, TAGGER).manifest
    assert run("model", folder, "--attach") == ""
    after = open_bundle(folder)
    assert after.read("README.md").decode() == describe_model(TAGGER, record=RECORD)
    assert {**after.manifest.files, "README.md": None} == {**before.files, "README.md": None}
    assert replace(after.manifest, files={}) == replace(before, files={})


def test_the_energy_report_takes_bundles_results_and_studies(tmp_path: Path) -> None:
    names = {"results": {"bundle": "a", "training": RECORD}, "study": {"runs": [RECORD]}, "speed": BENCHMARK}
    for name, record in names.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    results, study, speed = (tmp_path / f"{name}.json" for name in names)
    report = json.loads(run("energy", embedded_bundle(), results, study, "--benchmark", speed, "--json"))
    assert [len(model["steps"]) for model in report["models"]] == [13, 2, 1], "the embedded one has stages"
    assert report["tagging"]["wh_per_1000_documents"] == {"int8": 0.303}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is not valid JSON"),
        ("[]", "holds a list"),
        ("{}", "unexpected records"),
        ('{"training": 3}', "unexpected records"),
        ('{"runs": 3}', "unexpected records"),
    ],
)
def test_results_that_are_none_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        run("energy", path)
    with pytest.raises(InputError, match="cannot read"):
        run("energy", tmp_path / "nothing.json")


def test_a_bundle_with_strange_records_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "run.json").write_text('{"adaptation": {"passages": {"sources": 3}}}', encoding="utf-8")
    seal(folder, TAGGER)
    for command in ("model", "documentation", "licences"):
        with pytest.raises(InputError, match="unexpected records"):
            run(command, folder)
