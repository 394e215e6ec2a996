"""spaCy: what the component writes into documents, and that it survives batches, processes and disks."""

from __future__ import annotations

import copy
import multiprocessing
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from definitions import HEAD, MENTIONS, TEXT, decide
from openmed_ner.errors import BundleError, InputError, MissingExtraError, RunError
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.terminologies import build
from openmed_ner.text import Document, Span, iter_tokens
from strategies import at_most, documents, sentences, texts, word_documents

spacy = pytest.importorskip("spacy")

from spacy.language import Language  # noqa: E402
from spacy.tokens import Doc, DocBin  # noqa: E402
from spacy.training import Example  # noqa: E402

from openmed_ner.integrations.spacy import ComponentSettings, EntityTagger, use_words  # noqa: E402
from openmed_ner.integrations.spacy.results import add_extensions  # noqa: E402

TEXTS = [
    "Cisplatin caused severe nephrotoxicity in rats.",
    "Patients with breast cancer received tamoxifen.",
    "No effect was seen.",
    "Aspirin reduced the risk of myocardial infarction.",
]
HYPHENS = "3-[125I]iodobenzylguanidine(MIBG)-treated rats, Ca2+/CaM-dependent p57(Kip2)-positive cells."


NCBI, CHEMICAL, DISEASE = "ncbi-disease", "bc5cdr-chemical", "bc5cdr-disease"
THREE = [NCBI, CHEMICAL, DISEASE]
LAYERS = [(0, 9, "Chemical", CHEMICAL), (24, 38, "Disease", NCBI), (24, 38, "Disease", DISEASE)]


@cache
def blank(*, words: bool = False) -> Language:
    nlp: Language = spacy.blank("en")
    return use_words(nlp) if words else nlp


@pytest.fixture(scope="module")
def folder() -> str:
    return str(embedded_bundle())


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load(threads=1)


@pytest.fixture(scope="module")
def nlp() -> Language:
    pipeline = make_pipeline()
    list(pipeline.pipe(TEXTS[:1]))
    return pipeline


def make_pipeline(**config: object) -> Language:
    nlp: Language = spacy.blank("en")
    nlp.add_pipe("openmed_ner", config={"threads": 1, **config})
    return nlp


def annotate(document: Document, *, words: bool = False, **config: Any) -> Doc:
    """Annotate a text as if a model had found the spans of a document in it."""
    add_extensions()
    doc = blank(words=words).make_doc(document.text)
    return EntityTagger("test", ComponentSettings(**config))._annotate(doc, document)


def holding(tagger: Tagger, **config: Any) -> EntityTagger:
    """A component that need not load the model again."""
    add_extensions()
    component = EntityTagger("test", ComponentSettings(**config))
    component._taggers[os.getpid()] = tagger
    return component


def layers(doc: Doc) -> list[tuple[int, int, str, str]]:
    return [(span.start_char, span.end_char, span.label_, span.id_) for span in doc.spans["openmed_ner"]]


# --- what is written into a document


def test_the_exact_document_is_what_the_tagger_says(nlp: Language, tagger: Tagger) -> None:
    for text in [*TEXTS, "", " \n ", "Cisplatin", "x" * 500]:
        assert nlp(text)._.openmed_ner == tagger(text)


def test_nlp_evaluate_scores_the_entities(nlp: Language) -> None:
    gold = [nlp(text) for text in TEXTS[:2]]
    scores = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in gold])
    assert scores["ents_f"] == 1.0


def test_layers_carry_type_guideline_and_score() -> None:
    doc = make_pipeline(corpora=THREE)(TEXTS[0])
    assert layers(doc) == LAYERS
    sources = [span._.openmed_ner for span in doc.spans["openmed_ner"]]
    assert sources == list(doc._.openmed_ner.spans)
    assert doc.spans["openmed_ner"].attrs["scores"].tolist() == [source.score for source in sources]
    assert [(ent.text, ent.label_, ent.id_) for ent in doc.ents] == [
        ("Cisplatin", "Chemical", CHEMICAL),
        ("nephrotoxicity", "Disease", DISEASE),
    ]
    assert doc.ents[0]._.openmed_ner == sources[0]


def test_a_document_no_component_has_seen_has_nothing_to_say(nlp: Language) -> None:
    doc = nlp.make_doc(TEXTS[0])
    assert doc._.openmed_ner is None and doc._.openmed_ner_unaligned == 0 and doc[:1]._.openmed_ner is None


def test_settings_reach_the_tagger(tagger: Tagger) -> None:
    for config in ({"types": ["Disease"]}, {"corpora": [CHEMICAL]}, {"threshold": 0.93}):
        doc = holding(tagger, **config)(blank().make_doc(TEXTS[0]))
        assert doc._.openmed_ner == tagger(TEXTS[0], **config)
    other = holding(tagger, spans_key="layers")(blank().make_doc(TEXTS[0]))
    assert list(other.spans) == ["layers"] and other._.openmed_ner == tagger(TEXTS[0])


def test_document_decoding_can_be_turned_off(tagger: Tagger) -> None:
    deciding = decide(tagger, "definitions")
    for config, mentions in (({}, MENTIONS[1:]), ({"document_decoding": False}, MENTIONS)):
        doc = holding(deciding, corpora=[HEAD], **config)(blank().make_doc(TEXT))
        assert [span.text for span in doc.spans["openmed_ner"]] == mentions


def test_what_decided_a_span_survives() -> None:
    spans = [Span(0, 9, "Chemical", 0.9, CHEMICAL, evidence="document")]
    doc = annotate(Document("0", TEXTS[0], tuple(spans)))
    copied = Doc(doc.vocab).from_bytes(doc.to_bytes())
    assert list(copied._.openmed_ner.spans) == spans


def test_two_components_keep_their_layers_apart(folder: str) -> None:
    nlp = make_pipeline(corpora=[NCBI])
    nlp.add_pipe("openmed_ner", "other", config={"bundle": folder, "spans_key": "c", "corpora": [CHEMICAL]})
    doc = nlp(nlp(TEXTS[0]))  # twice: a component replaces what it wrote before
    assert (len(doc.spans["openmed_ner"]), len(doc.spans["c"]), len(doc._.openmed_ner.spans)) == (1, 1, 2)


# --- boundaries


@at_most(40)
@given(document=documents(sentences, scored=True))
def test_strict_alignment_moves_no_boundary_and_loses_nothing_unseen(document: Document) -> None:
    doc = annotate(document)
    assert sorted(doc._.openmed_ner.spans, key=str) == sorted(document.spans, key=str)
    assert len(doc.spans["openmed_ner"]) + doc._.openmed_ner_unaligned == len(document.spans)
    for span in doc.spans["openmed_ner"]:
        source = span._.openmed_ner
        assert (span.start_char, span.end_char, span.label_) == source.key[:3]


@at_most(40)
@given(document=word_documents())
@pytest.mark.parametrize(("alignment", "sign"), [("expand", 1), ("contract", -1)])
def test_boundaries_move_the_way_one_asks_for(alignment: str, sign: int, document: Document) -> None:
    doc = annotate(document, alignment=alignment)
    assert doc._.openmed_ner.spans == document.spans
    for span in doc.spans["openmed_ner"]:
        exact = span._.openmed_ner
        assert sign * span.start_char <= sign * exact.start and sign * span.end_char >= sign * exact.end


@given(document=word_documents())
def test_nothing_is_lost_on_our_own_words(document: Document) -> None:
    doc = annotate(document, words=True)
    assert doc._.openmed_ner_unaligned == 0
    assert [layer[:3] for layer in layers(doc)] == [span.key for span in document.spans]


@given(text=texts)
def test_our_words_as_tokens_hold_the_text_to_the_character(text: str) -> None:
    doc = blank(words=True).make_doc(text)
    assert doc.text == text
    words = [(token.idx, token.idx + len(token)) for token in doc if not token.text.isspace()]
    assert words == [(token.start, token.end) for token in iter_tokens(text)]


@given(text=st.text("ab. \n\t\u00a0", max_size=12))
def test_white_space_is_laid_out_as_spacy_does(text: str) -> None:
    docs = blank(words=True).make_doc(text), blank().make_doc(text)
    blanks = [[(token.idx, token.text) for token in doc if token.is_space] for doc in docs]
    if "." not in text:  # spaCy cuts fewer words than we do
        assert blanks[0] == blanks[1]


def test_spacys_tokens_cut_through_chemical_names() -> None:
    n_tokens = [len(nlp.make_doc(HYPHENS)) for nlp in (spacy.blank("en"), use_words(spacy.blank("en")))]
    assert n_tokens[0] < n_tokens[1]
    assert blank().make_doc(HYPHENS).char_span(8, 27) is None
    assert blank(words=True).make_doc(HYPHENS).char_span(8, 27).text == "iodobenzylguanidine"


# --- the flat view


@at_most(40)
@given(document=documents(sentences, scored=True))
@pytest.mark.parametrize("ents", [None, ["ncbi", "bc5cdr"], ["bc5cdr"], []])
def test_the_flat_view_does_not_overlap_and_leaves_out_only_for_a_better_one(
    ents: list[str] | None, document: Document
) -> None:
    doc = annotate(document, words=True, ents=ents)
    assert not any(one.start < two.end and two.start < one.end for one, two in combinations(doc.ents, 2))

    def rank(span: Span) -> tuple[float, ...]:
        return (
            (ents or [""]).index(span.corpus or "") if ents else 0,
            span.start - span.end,
            -(span.score or 0),
        )

    for span in doc.spans["openmed_ner"]:
        source = span._.openmed_ner
        if ents is None or source.corpus in ents:
            rivals = [ent._.openmed_ner for ent in doc.ents if ent.start < span.end and span.start < ent.end]
            assert any(rank(rival)[:2] <= rank(source)[:2] for rival in rivals)
    assert all(ents is None or ent.id_ in ents for ent in doc.ents)


@pytest.mark.parametrize(
    ("overwrite", "expected"),
    [(False, ["OLD", "Disease", "KEPT"]), (True, ["Chemical", "Disease", "KEPT"])],
)
def test_entities_of_earlier_components_stay_unless_overwritten(
    folder: str, overwrite: bool, expected: list[str]
) -> None:
    nlp = make_pipeline(bundle=folder, corpora=THREE, overwrite_ents=overwrite)
    ruler = nlp.add_pipe("entity_ruler", first=True)
    ruler.add_patterns(
        [{"label": "OLD", "pattern": "Cisplatin caused"}, {"label": "KEPT", "pattern": "rats"}]
    )
    doc = nlp(TEXTS[0])
    assert [ent.label_ for ent in doc.ents] == expected
    assert layers(doc) == LAYERS


# --- streams


def test_a_stream_is_tagged_in_order_whatever_the_batches(nlp: Language, tagger: Tagger) -> None:
    expected = list(tagger.pipe(TEXTS * 3))
    for size in (1, 5, 1000):
        tagged = [doc._.openmed_ner for doc in nlp.pipe(TEXTS * 3, batch_size=size)]
        assert tagged == [replace(document, id="0") for document in expected]


def test_texts_of_a_batch_share_the_models_batches(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    component = nlp.get_pipe("openmed_ner")
    calls: list[int] = []
    pipe = component.tagger.pipe
    monkeypatch.setattr(
        component.tagger, "pipe", lambda texts, **options: calls.append(1) or pipe(texts, **options)
    )
    assert len(list(nlp.pipe(TEXTS, batch_size=2))) == len(TEXTS) and len(calls) == len(TEXTS) / 2


def test_a_bad_document_does_not_take_its_batch_along(monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = make_pipeline()
    component = nlp.get_pipe("openmed_ner")
    annotate = component._annotate

    def fail(doc: Doc, document: Document) -> Doc:
        if "bad" in doc.text:
            raise RunError("no memory")
        result: Doc = annotate(doc, document)
        return result

    monkeypatch.setattr(component, "_annotate", fail)
    stream = [*TEXTS[:3], "a bad text", *TEXTS[3:]]
    with pytest.raises(RunError, match="no memory"):
        list(nlp.pipe(stream))
    failed: list[str] = []
    nlp.set_error_handler(lambda name, component, docs, error: failed.extend(doc.text for doc in docs))
    assert [doc.text for doc in nlp.pipe(stream)] == TEXTS and failed == ["a bad text"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"types": ["disease"]}, "unknown type 'disease'; did you mean Disease"),
        ({"corpora": ["mine"]}, "unknown corpus 'mine'"),
        ({"ents": ["bc5cdr"]}, "unknown corpus 'bc5cdr'"),
        ({"threshold": 2.0}, "threshold 2.0"),
    ],
)
def test_a_wrong_setting_is_refused_before_there_is_a_text(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_pipeline(**setting)


def test_types_of_a_bundle_that_comes_with_the_pipeline_are_not_those_of_this_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pipeline(types=["Chemical"]).to_disk(tmp_path)
    component = "openmed_ner.integrations.spacy.component"
    monkeypatch.setattr(f"{component}.read_manifest", lambda *_: pytest.fail("this version's bundle is read"))
    assert [ent.label_ for ent in spacy.load(tmp_path)(TEXTS[0]).ents] == ["Chemical"]
    with pytest.raises(InputError, match="unknown type 'Dose'"):
        spacy.load(tmp_path, config={"components": {"openmed_ner": {"types": ["Dose"]}}})


def test_a_wrong_setting_is_an_error_whatever_becomes_of_bad_documents(tagger: Tagger) -> None:
    for config in ({"types": ["Virus"]}, {"corpora": ["mine"]}, {"threshold": 2.0}):
        component = holding(tagger, **config)
        component.set_error_handler(lambda *_: None)
        with pytest.raises(InputError, match=r"Virus|mine|2\.0"):
            list(component.pipe([blank().make_doc(TEXTS[0])]))
    with pytest.raises(InputError, match="ents names the unknown corpus 'mine'"):
        EntityTagger("test", ComponentSettings(ents=["mine"], threads=1)).tagger  # noqa: B018
    with pytest.raises(ValueError, match="alignment"):
        make_pipeline(alignment="nearest")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # fork with torch
def test_two_processes_find_what_one_finds(nlp: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")  # else the tokenizer warns of the fork
    multiprocessing.set_start_method("fork", force=True)
    expected = [doc._.openmed_ner for doc in nlp.pipe(TEXTS)]  # so that the forks inherit a session
    docs = list(nlp.pipe(TEXTS, n_process=2, batch_size=1))
    assert [doc._.openmed_ner for doc in docs] == expected
    assert all(ent._.openmed_ner is not None for doc in docs for ent in doc.ents)


@pytest.mark.slow
def test_a_spawned_process_loads_the_model_itself(nlp: Language, tagger: Tagger) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        doc = pool.submit(nlp.get_pipe("openmed_ner"), nlp.make_doc(TEXTS[0])).result()
    assert doc._.openmed_ner == tagger(TEXTS[0])


def test_a_copied_component_shares_no_session(nlp: Language) -> None:
    component = nlp.get_pipe("openmed_ner")
    twin = copy.deepcopy(component)
    assert component.tagger is component.tagger and twin.tagger is not component.tagger


# --- saving


def test_documents_survive_being_written(nlp: Language) -> None:
    doc = nlp(TEXTS[0])
    (read,) = DocBin(["ENT_IOB", "ENT_TYPE", "ENT_ID"], docs=[doc], store_user_data=True).get_docs(nlp.vocab)
    for other in (Doc(nlp.vocab).from_bytes(doc.to_bytes()), read):
        assert other._.openmed_ner == doc._.openmed_ner and layers(other) == layers(doc)
        assert [ent._.openmed_ner for ent in other.ents] == [ent._.openmed_ner for ent in doc.ents]


@pytest.fixture
def saved(folder: str, tmp_path: Path) -> Iterator[tuple[Language, Path]]:
    bundle = shutil.copytree(folder, tmp_path / "bundle")
    nlp = use_words(make_pipeline(bundle=str(bundle), threshold=0.5))
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(bundle)  # a saved pipeline needs nothing but itself
    yield nlp, tmp_path / "pipeline"


@pytest.mark.slow
def test_a_saved_pipeline_holds_its_model_and_settings(saved: tuple[Language, Path], tagger: Tagger) -> None:
    _, path = saved
    nlp = spacy.load(path)
    assert nlp(TEXTS[0])._.openmed_ner == tagger(TEXTS[0], threshold=0.5)
    assert type(nlp.tokenizer).__name__ == "WordTokenizer"
    assert {"Disease", "Chemical"} <= set(nlp.get_pipe("openmed_ner").labels)
    changed = spacy.load(path, config={"components": {"openmed_ner": {"types": ["Disease"]}}})
    assert {span.label for span in changed(TEXTS[0])._.openmed_ner.spans} == {"Disease"}
    nlp.to_disk(path)  # over itself
    nlp.to_disk(path.parent / "again")
    assert spacy.load(path.parent / "again").config == nlp.config == spacy.load(path).config


def test_a_tampered_pipeline_is_refused(saved: tuple[Language, Path]) -> None:
    _, path = saved
    model = path / "openmed_ner/bundle/model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        spacy.load(path)


@pytest.mark.slow
def test_a_pipeline_travels_as_bytes(nlp: Language, tagger: Tagger) -> None:
    packed = nlp.to_bytes()
    other = make_pipeline(bundle="nowhere").from_bytes(packed)
    assert other(TEXTS[0])._.openmed_ner == tagger(TEXTS[0])
    assert copy.deepcopy(other.get_pipe("openmed_ner"))(other.make_doc(TEXTS[0])).ents
    assert other.get_pipe("openmed_ner").to_bytes() == nlp.get_pipe("openmed_ner").to_bytes()


@pytest.mark.parametrize("data", [b"", b"\x93\x01\x02\x03", b"\x81\xa1a\x01", b"\xc1", b"\x81"])
def test_bytes_that_are_no_bundle_are_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"not a packed bundle"):
        EntityTagger("x", ComponentSettings()).from_bytes(data)


def test_packed_files_stay_inside_their_folder() -> None:
    from openmed_ner.integrations.spacy.bundle import pack

    for name in ("../x.json", "/x.json", "a\\..\\x.json"):
        with pytest.raises(BundleError, match="does not lie inside"):
            EntityTagger("x", ComponentSettings()).from_bytes(pack({name: b"{}"}))


# --- installation


def test_a_missing_spacy_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy.language", None)
    monkeypatch.delitem(sys.modules, "openmed_ner.integrations.spacy")
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[spacy\]"):
        import_module("openmed_ner.integrations.spacy")


@pytest.mark.slow
def test_declared_entry_points_lead_to_the_factory_and_the_tokenizer() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    groups = project.get("entry-points", {})
    declared = {name for group in ("spacy_factories", "spacy_tokenizers") for name in groups.get(group, {})}
    if not declared:
        pytest.skip("pyproject.toml declares no entry points for spaCy")
    assert declared == {"openmed_ner", "openmed_ner.words.v1"}
    for group in ("spacy_factories", "spacy_tokenizers"):
        for target in groups[group].values():
            module, _, name = target.partition(":")
            assert callable(getattr(import_module(module), name))


def test_vocabularies_are_found_and_linked_to(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "id,name,parents\nX:1,kraken fever,X:2\nX:2,fevers,\n", encoding="utf-8"
    )
    build([], tmp_path / "mine", vocabularies={tmp_path / "mine.csv": "Disease"})
    nlp = spacy.blank("en")
    config = {"types": ["Disease"], "match": [str(tmp_path / "mine")], "under": ["X:2"], "species": 10090}
    nlp.add_pipe("openmed_ner", config=config)
    doc = nlp("Malaria and kraken fever.")
    (span,) = doc.spans["openmed_ner"]
    assert (span.text, span.kb_id_, span._.openmed_ner.corpus) == ("kraken fever", "X:1", "mine")
    with pytest.raises(InputError, match="need a vocabulary"):
        spacy.blank("en").add_pipe("openmed_ner", config={"nested": True})("Malaria.")
