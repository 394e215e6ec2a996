from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from openmed_ner.cli import main as command
from openmed_ner.corpora import CATALOG, load_split
from openmed_ner.errors import (
    BundleError,
    CorpusError,
    CorpusFormatError,
    InputError,
    MissingExtraError,
    RecipeError,
)
from openmed_ner.formats import discovery as reading
from openmed_ner.formats import files
from openmed_ner.formats.discovery import iter_files, read_passages
from openmed_ner.formats.passage import Passage
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.text import Document, iter_tokens
from openmed_ner.training.passages import (
    SOURCES,
    PassageSet,
    PassageSettings,
    SourceAccount,
    load_prepared,
    prepare,
    shards,
)
from openmed_ner.training.passages.duplicates import ExactDuplicates, NearDuplicates, WordHasher, text_digest
from openmed_ner.training.passages.guard import load_guard, make_guard
from openmed_ner.training.passages.held_out import held_out_passages
from openmed_ner.training.passages.sources import REASONS, find_source, read_licences
from openmed_ner.training.passages.subwords import PassageTokenizer, cut, ends_sentence
from openmed_ner.training.passages.text import LOST, PLACEHOLDER, clean, is_english, placeholder_share
from strategies import texts

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BYTES = ["<s>", "</s>", "<pad>", "<unk>", "<mask>"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
COMMON = ["the", "of", "and", "in", "patients", "was", "with", "treatment", "mask", "sep"]
ABSTRACT = (
    "Cisplatin is given to many patients with solid tumours. Kidney injury limits the tolerated dose in "
    "about 30 % of them. We compared hydration with and without magnesium in a randomised trial. Serum "
    "creatinine rose less often when magnesium was given before the infusion."
)
OTHER = (
    "Asthma attacks in children are often set off by a common cold. Inhaled steroids shorten the attack and "
    "keep most children out of hospital. It is not known how long they should be taken after recovery."
)
SPANISH = (
    "Los niños con asma y con obesidad presentan mayor riesgo de ingreso en el hospital. El tratamiento con "
    "esteroides inhalados reduce la duración de las crisis y evita la mayoría de los ingresos hospitalarios."
)


def wordpiece() -> Tokenizer:
    pieces = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *".,()[]<>-/%", *COMMON]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=BYTES, initial_alphabet=alphabet, show_progress=False
    )
    return _framed(tokenizer, trainer)


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=BYTES, unk_token="<unk>", show_progress=False
    )
    return _framed(tokenizer, trainer)


def _framed(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator([ABSTRACT, OTHER] * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


TOKENIZER = wordpiece().to_str()
LOOSE = PassageSettings(guard="nothing", language="any", min_subwords=5, max_subwords=64, near_duplicates=0)


def ids_of(tokenizer: PassageTokenizer, text: str) -> list[int]:
    return np.frombuffer(b"".join(tokenizer.encode(text)), dtype=tokenizer.dtype).tolist()


def write_lines(path: Path, records: Sequence[object]) -> Path:
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode(), mtime=0))
    else:
        path.write_text(lines, encoding="utf-8")
    return path


def babble(number: int, n_words: int = 40) -> str:
    """Sentences of made-up words, always the same for a number, and unlike those of any other."""
    chance = random.Random(number)
    words = ["".join(chance.choices("abcdefghij", k=chance.randint(2, 8))) for _ in range(n_words)]
    return " ".join(word + "." * (chance.random() < 0.1) for word in words)


def run(
    folder: Path, records: Sequence[object], settings: PassageSettings = LOOSE, **rest: Any
) -> PassageSet:
    path = write_lines(folder / "input.jsonl", records)
    return prepare([path], folder / "set", tokenizer_json=TOKENIZER, settings=settings, **rest)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- cleaning


@given(texts)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean(text)
    assert clean(once.replace(LOST, PLACEHOLDER)) == once
    assert once == " ".join(once.split())


def test_a_lost_number_is_marked_and_a_texts_own_mark_is_dropped() -> None:
    assert clean("about <dig>\n of\t40\ufffc") == f"about {LOST} of 40"
    assert placeholder_share(clean("<dig> of <dig> mice: <dig>-fold")) == 3 / 5
    assert placeholder_share(clean("no number")) == 0


def test_a_formula_in_code_is_dropped_and_other_long_words_are_not() -> None:
    code = (
        "MathType@MTEF@5@5@+=feaafiart1ev1aaatCvAUfKttLearuWrP9MDH5MBPbIqV92AaeXatLxBI9gBaebbnrfifHhDYfgasaac"
    )
    name = "methyl-5-tert-butyl-3a,6a-dihydrothieno[2,3-d]isoxazoline-2-carboxylate-hydrochloride"
    assert clean(f"where {code} is {name}") == f"where is {name}"


# --- subwords


@pytest.fixture(scope="module", params=[wordpiece, byte_level, unigram], ids=lambda make: make.__name__)
def encoders(request: pytest.FixtureRequest) -> tuple[PassageTokenizer, SubwordTokenizer]:
    text = request.param().to_str()
    return PassageTokenizer(text), SubwordTokenizer.from_json(text)


@given(text=texts)
@example("IL-2-induced IL-2 (IL-2) a" + "b" * 80)
def test_passages_are_encoded_as_for_fine_tuning(
    encoders: tuple[PassageTokenizer, SubwordTokenizer], text: str
) -> None:
    passages, subwords = encoders
    ready = clean(text)
    if ready:
        assert ids_of(passages, ready) == subwords.encode(ready, list(iter_tokens(ready))).ids.tolist()


@given(st.lists(st.sampled_from([*SPECIAL, *BYTES, "a", "[", "[MASK", "]", "<", "mask>", "\ufffc", " "])))
def test_no_text_can_spell_a_special_subword(
    encoders: tuple[PassageTokenizer, SubwordTokenizer], pieces: list[str]
) -> None:
    tokenizer, _ = encoders
    special = {*tokenizer.special.values()} - {tokenizer.special["unknown"]}
    for text in (clean("".join(pieces)), clean(" ".join(pieces))):
        if text:
            assert not special & {*ids_of(tokenizer, text)}


def test_a_lost_number_is_one_mask(encoders: tuple[PassageTokenizer, SubwordTokenizer]) -> None:
    tokenizer, _ = encoders
    ids = ids_of(tokenizer, clean("<dig> of il-<dig> in (<dig>), <dig>"))
    assert ids.count(tokenizer.mask) == 4
    assert ids[0] == tokenizer.mask


@given(text=texts.map(clean).filter(bool))
@example("Serum creatinine/urea-ratio\ufffcrose.")
def test_a_part_of_a_text_has_the_subwords_of_its_words(
    encoders: tuple[PassageTokenizer, SubwordTokenizer], text: str
) -> None:
    tokenizer, _ = encoders
    lengths = tokenizer.lengths(tokenizer.encode(text))
    words = [tokenizer.word_lengths(part, first=not place) for place, part in enumerate(text.split(" "))]
    assert [sum(parts) for parts in words] == lengths


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    text = TOKENIZER.replace("[MASK]", "[HIDE]")
    with pytest.raises(BundleError, match=r"none of the subwords \[MASK\], <mask>"):
        PassageTokenizer(text)


# --- cutting

pieces = st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60)


@given(pieces, st.integers(20, 60))
def test_pieces_are_the_passage_and_none_is_too_long(words: list[tuple[int, bool]], most: int) -> None:
    texts = ["a." if stop else "a" for _, stop in words]
    lengths = [length for length, _ in words]
    ranges = cut(texts, lengths, most, within=lambda place: [20, 20])
    lengths = [length if length <= most else 40 for length in lengths]
    assert [0, *(end for _, end in ranges)] == [start for start, _ in ranges] + [sum(lengths)]
    assert all(0 < end - start <= most for start, end in ranges)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_the_largest_piece_is_as_small_as_whole_sentences_allow(lengths: list[int]) -> None:
    most = 40
    ranges = cut(["a."] * len(lengths), lengths, most, within=lambda place: [])
    edges = [0, *np.cumsum(lengths).tolist()]

    def largest(start: int, n_pieces: int) -> float:
        """By trying all ways."""
        if n_pieces == 1:
            return edges[-1] - edges[start]
        ways = range(start + 1, len(lengths) - n_pieces + 2)
        return min((max(edges[i] - edges[start], largest(i, n_pieces - 1)) for i in ways), default=9e9)

    assert max(end - start for start, end in ranges) == largest(0, len(ranges))
    if len(ranges) > 1:
        assert largest(0, len(ranges) - 1) > most


def test_a_sentence_ends_with_a_stop_and_what_closes_it() -> None:
    assert all(map(ends_sentence, ["end.", "end?", '(end.)"', "end!”"]))
    assert not any(map(ends_sentence, ["end", "3.5", "(end)", "a.b"]))


# --- duplicates


def test_case_spacing_and_punctuation_do_not_part_duplicates() -> None:
    seen = ExactDuplicates()
    assert not seen.add(text_digest("Cisplatin, in mice."))
    assert seen.add(text_digest("cisplatin (in  mice)"))
    assert not seen.add(text_digest("cisplatin in rats"))


def test_near_duplicates_share_nearly_all_shingles() -> None:
    words = babble(1, 200).split()
    near, hashes = NearDuplicates(0.8), WordHasher()
    assert not near.add(hashes(" ".join(words)))
    almost = hashes(" ".join([*words[:-4], "entirely", "other", "words", "here"]))
    assert almost in near and near.add(almost), "Jaccard 0.96"
    assert hashes(" ".join(words).upper().replace(".", " 12")) in near
    changed = [word if number % 20 else "changed" for number, word in enumerate(words)]
    assert hashes(" ".join(changed)) not in near, "Jaccard 0.6"
    assert not near.add(hashes(babble(2, 200)))


@given(st.integers(0, 5), st.integers(0, 5))
def test_texts_without_enough_words_are_compared_whole(one: int, other: int) -> None:
    near, hashes = NearDuplicates(0.8), WordHasher()
    assert not near.add(hashes(" ".join("abcde"[:one]) or "12"))
    assert (hashes(" ".join("abcde"[:other]) or "3.4") in near) == (one == other), "numbers do not count"


# --- language


def test_english_is_told_by_the_middle_of_a_text_and_then_by_all_of_it() -> None:
    assert is_english(ABSTRACT) and is_english(ABSTRACT.lower()) and is_english(OTHER)
    assert not is_english(SPANISH)
    assert not is_english("Asthma in children. " + SPANISH * 3)
    assert is_english(f"{ABSTRACT} {OTHER} {SPANISH} {OTHER} {ABSTRACT}")


# --- guard


def test_a_passage_that_has_one_sentence_of_a_test_document_is_found() -> None:
    guard = make_guard({"mine/test": [Document("1", ABSTRACT)], "mine/dev": [Document("2", OTHER)]})
    sentence = "Kidney injury limits the tolerated dose in about 30 % of them."
    assert guard.find(f"Unlike before. {sentence} We agree.") == {"mine/test"}
    assert guard.find(
        "unlike before . kidney injury limits the tolerated dose in about <dig> % of them . we"
    ) == {"mine/test"}
    assert guard.find(ABSTRACT + " " + OTHER) == {"mine/dev", "mine/test"}
    assert not guard.find("Kidney injury limits the tolerated dose. In about 30 % of them.")
    assert not guard.find(babble(1))


def test_what_a_copy_lost_with_its_brackets_hides_nothing() -> None:
    text = "The receptor (IL-2R, see [12]) was blocked by an antibody in most animals tested [3, 4]."
    guard = make_guard({"mine/test": [Document("1", text)]})
    assert guard.find("the receptor  was blocked by an antibody in most animals tested .")
    assert guard.find(text)


def test_a_phrase_of_many_documents_guards_nothing() -> None:
    phrase = "The authors declare that they have no competing interests."
    documents = [Document(str(number), f"{babble(number)}. {phrase}") for number in range(6)]
    guard = make_guard({"mine/test": documents})
    assert guard.common == 1
    assert not guard.find(phrase)
    assert make_guard({"mine/test": documents[:4]}).find(phrase)


def test_the_guard_wants_the_corpora_or_a_word_that_it_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENMED_NER_CORPORA", raising=False)
    with pytest.raises(CorpusError, match='guard = "nothing"'):
        load_guard("catalog")
    with pytest.raises(CorpusError, match=r'lacks ncbi-disease.*guard = "available".*guard = "nothing"'):
        load_guard("catalog", folder=tmp_path)
    assert load_guard("available", folder=tmp_path).missing == tuple(CATALOG)
    assert not load_guard("nothing").places


@pytest.mark.corpora
@pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set")
def test_every_test_document_of_a_real_corpus_is_found() -> None:
    documents = load_split("bc5cdr-disease", "test").documents
    guard = make_guard({"bc5cdr-disease/test": documents})
    n_dropped = sum(bool(guard.find(clean(document.text.lower()))) for document in documents)
    assert n_dropped == len(documents)


# --- reading


def take(path: Path, format: str | None = None) -> list[Passage]:
    files = iter_files([path], format=format)
    return [passage for file, _, kind in files if kind for passage in read_passages(file, kind)]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_json_lines_name_their_sources_or_are_named_after_their_file(tmp_path: Path, suffix: str) -> None:
    records = [{"id": 7, "source": "medquad", "text": "One."}, {"text": "Two.", "spans": []}]
    path = write_lines(tmp_path / f"notes.jsonl{suffix}", records)
    assert take(path) == [Passage("7", "medquad", "One."), Passage(f"notes.jsonl{suffix}:2", "notes", "Two.")]


def test_paragraphs_of_a_text_are_passages(tmp_path: Path) -> None:
    path = tmp_path / "book.txt.gz"
    path.write_bytes(gzip.compress("\ufeffOne\nstill one.\n\n \n\nTwo.".encode()))
    assert take(path) == [
        Passage("book.txt.gz:1", "book", "One\nstill one.\n"),
        Passage("book.txt.gz:6", "book", "Two."),
    ]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_documents_with_annotations_lend_their_texts(tmp_path: Path, suffix: str) -> None:
    content = b"1|t|Aspirin and asthma.\n1|a|Asthma after aspirin.\n1\t0\t7\tAspirin\tChemical\tD001241\n"
    path = tmp_path / f"train.pubtator{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    assert take(path) == [Passage("1", "train", "Aspirin and asthma. Asthma after aspirin.")]
    other = path.rename(tmp_path / f"odd.name{suffix}")
    assert take(other, "pubtator")[0].text == "Aspirin and asthma. Asthma after aspirin."


def test_a_folder_is_read_in_the_order_of_names_and_unknown_files_are_reported(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", "a/notes.ann", ".hidden.txt", "d.TXT", "README"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{name}.")
    files_read = [(name, kind) for _, name, kind in iter_files([tmp_path])]
    assert [name for name, kind in files_read if kind] == ["a/c.txt", "b.txt", "d.TXT"]
    assert [name for name, kind in files_read if not kind] == [".hidden.txt", "README", "a/notes.ann"]


def test_dumps_are_told_by_their_names(tmp_path: Path) -> None:
    names = {
        "pubmed25n0001.xml.gz": "pubmed",
        "NCT01234567.json": "clinicaltrials",
        "ctg-studies.json.zip": "clinicaltrials",
        "articles.xml": "bioc-xml",
        "articles.json": "bioc-json",
    }
    for name in names:
        (tmp_path / name).touch()
    assert {name: kind for _, name, kind in iter_files([tmp_path])} == names


def test_a_brat_folder_is_read_when_named_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "brat"
    folder.mkdir()
    (folder / "1.txt").write_text("Aspirin.")
    (folder / "1.ann").write_text("T1\tDrug 0 7\tAspirin\n")
    assert [passage.text for passage in take(folder, "brat")] == ["Aspirin."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n\n[1]\n', r"a\.jsonl, line 3: expected a JSON object, found list"),
        ("a.jsonl", b'{"text": 1}', r'line 1: expected a string under "text"'),
        ("a.jsonl", b'{"text": "x", "id": true}', r'line 1: .* "id", found True'),
        ("a.jsonl", b'{"text": "x", "source": ""}', r'line 1: expected a name under "source"'),
        ("a.jsonl", b'{"text": "\\ud800"}', r"line 1: .*surrogate"),
        ("a.jsonl", b'{"text": ', r"line 1: Expecting value"),
        ("a.jsonl", b"[" * 200_000, r"line 1: "),
        ("a.txt", b"fine\n\xe9t\xe9\n", r"a\.txt: not UTF-8: byte 0xe9 in line 2, at byte 1"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n', mtime=0)[:-9], r"a\.jsonl\.gz: damaged: "),
        ("a.txt.gz", b"plain", r"a\.txt\.gz: damaged: Not a gzipped file"),
        ("a.pubtator.gz", gzip.compress(b"\xff", mtime=0), r"a\.pubtator\.gz, line 1: not UTF-8"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusFormatError, match=message):
        take(tmp_path / name)


def test_a_small_file_cannot_unpack_to_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE", 1000)
    monkeypatch.setattr(files, "MAX_PENDING", 1000)
    bomb = gzip.compress(b"x" * 100_000)
    for name in ("a.jsonl.gz", "a.txt.gz", "a.pubtator.gz"):
        (tmp_path / name).write_bytes(bomb)
        with pytest.raises(CorpusFormatError, match=r"a\..*: (longer|unpacks to more) than"):
            take(tmp_path / name)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"x" * 90 + b"\n" + b"x\n" * 900))
    with pytest.raises(CorpusFormatError, match="line 1: a paragraph of more than"):
        take(tmp_path / "b.txt.gz")


def test_what_is_not_there_and_what_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        take(tmp_path / "absent")
    with pytest.raises(InputError, match="unknown input format 'word'"):
        take(tmp_path, "word")
    (tmp_path / "a.txt.gz").touch()
    with pytest.raises(InputError, match="several files"):
        take(tmp_path / "a.txt.gz", "brat")


def test_articles_without_text_are_counted(tmp_path: Path) -> None:
    article = (
        "<PubmedArticle><MedlineCitation><PMID Version='1'>{}</PMID><Article><ArticleTitle>On kidneys."
        "</ArticleTitle>{}<Language>eng</Language></Article></MedlineCitation></PubmedArticle>"
    )
    abstract = f"<Abstract><AbstractText>{ABSTRACT}</AbstractText></Abstract>"
    path = tmp_path / "pubmed25n0001.xml.gz"
    articles = article.format(1, abstract) + article.format(2, "")
    path.write_bytes(gzip.compress(f"<PubmedArticleSet>{articles}</PubmedArticleSet>".encode()))
    prepared = prepare([path], tmp_path / "set", tokenizer_json=TOKENIZER, settings=LOOSE)
    assert prepared.accounts["pubmed"].kept == 1
    assert sum(prepared.manifest["skipped_articles"].values()) == 1


# --- licences


def test_nobodys_word_makes_no_licence() -> None:
    assert find_source("found-on-a-disk", {}).licence_class == "unknown"
    assert find_source("found-on-a-disk", {"found-on-a-disk": "permissive"}).licence_class == "permissive"
    assert find_source("medquad", {}).licence_class == "permissive"
    assert SOURCES["sumpubmed-text"].licence_class == SOURCES["e3c-english"].licence_class == "non-commercial"
    assert read_licences(["a=b=permissive"[2:], "x=unknown"]) == {"b": "permissive", "x": "unknown"}
    for wrong in ("x", "x=free", "=permissive"):
        with pytest.raises(InputError, match="expected NAME=CLASS"):
            read_licences([wrong])


# --- settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("licences", "some"),
        ("guard", "off"),
        ("language", "fr"),
        ("min_subwords", 0),
        ("min_subwords", 300),
        ("max_subwords", 63),
        ("near_duplicates", 1.5),
        ("max_placeholders", -0.1),
        ("held_out", -1),
        ("seed", -1),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"{name} = .*expected"):
        replace(PassageSettings(), **{name: value})


# --- the set

records = st.lists(
    st.fixed_dictionaries(
        {
            "text": texts
            | st.integers(0, 9).map(babble)
            | st.sampled_from([ABSTRACT, OTHER, SPANISH, "<dig> " * 30, "too short"]),
            "source": st.sampled_from(["medquad", "sumpubmed-text", "litcovid-test", "mine"]),
        }
    ),
    min_size=1,
    max_size=12,
)


@given(records, st.booleans())
def test_every_passage_and_subword_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, str]], permissive: bool
) -> None:
    settings = replace(LOOSE, licences="permissive" if permissive else "all", near_duplicates=0.8)
    folder = tmp_path_factory.mktemp("sets")
    try:
        prepared = run(folder, [*lines, {"text": ABSTRACT, "source": "medquad"}], settings)
    except InputError:
        raise AssertionError("one passage is good") from None
    assert prepared.total.read == len(lines) + 1
    assert prepared.total.complete and all(account.complete for account in prepared.accounts.values())
    train = load_prepared(prepared.folder, "train")
    assert len(train) == prepared.total.pieces
    assert len(train.ids) == prepared.total.subwords
    for number, name in enumerate(train.names):
        assert (train.sources == number).sum() == prepared.accounts[name].pieces
    assert not permissive or set(train.names) == {"medquad"}
    assert (np.diff(train.ends, prepend=0) >= settings.min_subwords).all()
    assert (np.diff(train.ends, prepend=0) <= settings.max_subwords).all()


def test_every_reason_to_drop_a_passage_is_given(tmp_path: Path) -> None:
    guard = make_guard({"mine/test": [Document("1", OTHER)]})
    settings = replace(
        LOOSE,
        language="en",
        near_duplicates=0.8,
        licences="permissive",
        exclude=("clinicaltrials",),
        min_subwords=20,
    )
    texts = [
        ("litcovid-test", ABSTRACT),
        ("clinicaltrials", ABSTRACT),
        ("medquad", "\u200b "),
        (
            "medquad",
            "about <dig> of <dig> patients with the treatment of tumours in the kidney were seen " * 2,
        ),
        ("medquad", "patients"),
        ("medquad", ABSTRACT),
        ("medquad", ABSTRACT.upper()),
        ("medquad", SPANISH),
        ("medquad", OTHER.lower()),
        ("medquad", "Background: " + ABSTRACT),
    ]
    prepared = run(tmp_path, [{"source": name, "text": text} for name, text in texts], settings, guard=guard)
    assert prepared.total.dropped == dict.fromkeys(REASONS, 1)
    assert prepared.manifest["guard"]["splits"] == {"mine/test": {"documents": 1, "passages_dropped": 1}}
    assert {source["name"] for source in prepared.manifest["without_pieces"]} == {
        "litcovid-test",
        "clinicaltrials",
    }
    assert prepared.total.subwords_read == prepared.total.subwords + sum(
        prepared.total.subwords_dropped.values()
    )


def test_the_set_spells_the_passages(tmp_path: Path) -> None:
    prepared = run(tmp_path, [{"text": f"Of {PLACEHOLDER} patients. {ABSTRACT}"}, {"text": OTHER}])
    train = load_prepared(prepared.folder, "train")
    tokenizer = wordpiece()
    spelt = [tokenizer.id_to_token(number) for number in train.ids.tolist()]
    letters = "".join(spelt).replace("##", "").replace("[MASK]", "")
    expected = "".join(f"Of  patients. {ABSTRACT}{OTHER}".lower().split())
    assert letters == expected
    assert spelt[1:3] == ["[MASK]", "patients"]
    assert [len(train.piece(number)) for number in range(len(train))] == np.diff(
        train.ends, prepend=0
    ).tolist()


@pytest.mark.parametrize("make", [wordpiece, byte_level, unigram])
def test_a_word_longer_than_a_piece_is_cut_within(tmp_path: Path, make: Callable[[], Tokenizer]) -> None:
    path = write_lines(tmp_path / "in.jsonl", [{"text": "acgt-" * 60 + " of " + "tgca-" * 60 + " patients"}])
    prepared = prepare([path], tmp_path / "set", tokenizer_json=make().to_str(), settings=LOOSE)
    train = load_prepared(prepared.folder, "train")
    assert len(train) > 3 and prepared.total.split == 1
    assert prepared.total.complete and not prepared.total.dropped
    assert len(train.ids) == prepared.total.subwords_read


def test_running_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    records = [{"text": babble(number), "source": f"s{number % 3}"} for number in range(60)]
    for name in ("one", "two"):
        run(tmp_path / name, records, replace(LOOSE, near_duplicates=0.8, held_out=2))
    assert bytes_of(tmp_path / "one/set") == bytes_of(tmp_path / "two/set")


def heldout_pieces(prepared: PassageSet) -> set[bytes]:
    held_out = load_prepared(prepared.folder, "heldout")
    return {held_out.piece(number).tobytes() for number in range(len(held_out))}


def test_the_held_out_passages_do_not_depend_on_the_order_and_are_not_trained_on(tmp_path: Path) -> None:
    records = [{"text": babble(number)} for number in range(100)]
    first = run(tmp_path / "one", records)
    second = run(tmp_path / "two", records[::-1])
    assert heldout_pieces(first) == heldout_pieces(second)
    assert first.total.held_out == 5, "5 % at most"
    train = load_prepared(first.folder, "train")
    assert not heldout_pieces(first) & {train.piece(number).tobytes() for number in range(len(train))}
    assert len(train.ids) == first.total.subwords - first.total.subwords_held_out
    other = run(tmp_path / "three", records, replace(LOOSE, seed=1))
    assert heldout_pieces(other) != heldout_pieces(first)


def test_no_piece_to_train_on_resembles_one_held_out(tmp_path: Path) -> None:
    standing = babble(1000, 60) + "."
    records = [{"text": f"{babble(number, 60)}. {standing}"} for number in range(40)]
    for threshold in (0.0, 0.8):
        settings = replace(LOOSE, min_subwords=100, max_subwords=300, near_duplicates=threshold)
        prepared = run(tmp_path / str(threshold), records, settings)
        train = load_prepared(prepared.folder, "train")
        copies = heldout_pieces(prepared) & {train.piece(number).tobytes() for number in range(len(train))}
        assert bool(copies) == (threshold == 0)
        assert prepared.total.complete
    assert prepared.total.subwords_dropped.keys() == {"near-duplicate"}
    assert prepared.total.kept == 40 and not prepared.total.dropped


@given(st.sets(st.integers(0, 2**64 - 1), min_size=41, max_size=80), st.integers(0, 5), st.randoms())
def test_passages_held_out_stay_so_when_fewer_are_wanted_or_the_order_changes(
    keys: set[int], count: int, chance: random.Random
) -> None:
    def chosen(order: list[int], number: int) -> set[int]:
        flags = held_out_passages(order, number)
        return {key for key, flag in zip(order, flags, strict=True) if flag}

    order = sorted(keys)
    shuffled = chance.sample(order, len(order))
    assert chosen(order, count) == chosen(shuffled, count) <= chosen(order, count + 1)
    assert len(chosen(order, count)) == min(count, len(keys) // 20)


def test_shards_are_small_and_joined_on_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"text": babble(number)} for number in range(30)]
    whole = load_prepared(run(tmp_path / "one", records).folder, "train")
    monkeypatch.setattr(shards, "SHARD", 500)
    prepared = run(tmp_path / "two", records)
    parts = load_prepared(prepared.folder, "train")
    assert len(prepared.manifest["shards"]) > 5
    assert all(shard["subwords"] <= 500 for shard in prepared.manifest["shards"].values())
    for name in ("ids", "ends", "sources"):
        assert (getattr(whole, name) == getattr(parts, name)).all()


def test_only_permissive_sources_are_loaded_if_asked(tmp_path: Path) -> None:
    names = ("medquad", "litcovid-test", "mine")
    records = [{"text": babble(number), "source": names[number % 3]} for number in range(9)]
    folder = run(tmp_path, records, licences={"mine": "permissive"}).folder
    everything, permissive = (
        load_prepared(folder, "train", licences=licences) for licences in ("all", "permissive")
    )
    expected = [everything.piece(n).tolist() for n in range(len(everything)) if everything.sources[n] != 1]
    assert [permissive.piece(n).tolist() for n in range(len(permissive))] == expected
    assert {permissive.names[number] for number in permissive.sources} == {"medquad", "mine"}


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    run(tmp_path, [{"text": ABSTRACT}])
    before = bytes_of(tmp_path / "set")
    with pytest.raises(InputError, match="holds a prepared set; load it, or name another folder"):
        run(tmp_path, [{"text": OTHER}])
    assert bytes_of(tmp_path / "set") == before
    with pytest.raises(InputError, match="holds other files; name another folder"):
        prepare([tmp_path / "input.jsonl"], tmp_path, tokenizer_json=TOKENIZER, settings=LOOSE)
    with pytest.raises(InputError, match="is a file"):
        prepare([], tmp_path / "input.jsonl", tokenizer_json=TOKENIZER, settings=LOOSE)


def test_nothing_is_left_behind_when_preparing_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no passage is left of 2 read: short 2"):
        run(tmp_path, [{"text": "dose"}, {"text": "a"}])
    with pytest.raises(CorpusFormatError):
        run(tmp_path, [{"text": ABSTRACT}, {"text": None}])
    assert [path.name for path in tmp_path.iterdir()] == ["input.jsonl"]


def test_too_many_sources_are_refused(tmp_path: Path) -> None:
    records = [{"text": babble(number), "source": str(number)} for number in range(257)]
    with pytest.raises(InputError, match="more than 256 sources"):
        run(tmp_path, records)


def change(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(edit((folder / name).read_bytes()))

    return apply


def reshard(**arrays: object) -> Callable[[Path], None]:
    """Replace arrays of the shard, and make the page agree."""

    def apply(folder: Path) -> None:
        from safetensors import numpy as safetensors

        name, page = "train-00000.safetensors", json.loads((folder / "passages.json").read_bytes())
        old = safetensors.load((folder / name).read_bytes())
        content = safetensors.save({**old, **{key: np.asarray(value) for key, value in arrays.items()}})
        (folder / name).write_bytes(content)
        page["shards"][name]["sha256"] = hashlib.sha256(content).hexdigest()
        (folder / "passages.json").write_text(json.dumps(page))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "passages.json").unlink(), "it has no passages.json"),
        (change("passages.json", lambda page: page[:-9]), "is not valid JSON"),
        (change("passages.json", lambda page: b"[]"), "expected an object"),
        (
            change("passages.json", lambda page: page.replace(b'"format": 1', b'"format": 2')),
            "expected 1",
        ),
        (change("passages.json", lambda page: page.replace(b'"sources"', b'"s"')), "damaged: KeyError"),
        (change("passages.json", lambda page: page.replace(b"train-0", b"train/../../x")), "is missing"),
        (lambda folder: (folder / "train-00000.safetensors").unlink(), "train-00000.safetensors is missing"),
        (change("train-00000.safetensors", lambda shard: shard + b" "), "changed or damaged"),
        (reshard(ids=np.array([1, 2], dtype=np.uint16)), "do not match each other"),
        (reshard(sources=np.array([9], dtype=np.uint8)), "do not match each other"),
        (reshard(ids=np.array([0.5])), "do not match each other"),
    ],
)
def test_a_changed_set_is_not_loaded(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    folder = run(tmp_path, [{"text": ABSTRACT}]).folder
    damage(folder)
    with pytest.raises(BundleError, match=message):
        load_prepared(folder, "train")


def test_a_part_without_passages_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path, [{"text": ABSTRACT}]).folder
    with pytest.raises(BundleError, match="'heldout' has no passages"):
        load_prepared(folder, "heldout")
    with pytest.raises(BundleError, match="licences = 'permissive'"):
        load_prepared(folder, "train", licences="permissive")


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rensa", None)
    monkeypatch.setitem(sys.modules, "py3langid", None)
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[train\]"):
        NearDuplicates(0.8)
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[train\]"):
        is_english("x")


def test_accounts_add_up() -> None:
    one = SourceAccount(read=3, kept=1, dropped={"short": 2}, subwords_read=9, subwords=9)
    two = SourceAccount(read=2, kept=0, dropped={"empty": 1, "short": 1})
    total = one + two
    assert total.dropped == {"empty": 1, "short": 3} and total.read == 5 and total.complete
    assert not replace(total, kept=2).complete


# --- command line


def invoke(monkeypatch: pytest.MonkeyPatch, *words: object) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["openmed-ner", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        command.main()
    return stop.value.code


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(TOKENIZER, encoding="utf-8")
    write_lines(tmp_path / "in/notes.jsonl.gz", [{"text": ABSTRACT}, {"text": OTHER}, {"text": SPANISH}])
    (tmp_path / "in/README").touch()
    return tmp_path / "in", tokenizer


def test_the_command_prints_what_became_of_each_source(
    inputs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, tokenizer = inputs
    words = ("passages", folder, "-o", tmp_path / "set", "--tokenizer", tokenizer, "--guard", "nothing")
    assert invoke(monkeypatch, *words, "--licence", "notes=permissive", "--max-subwords", "64") == 0
    out = capsys.readouterr().out
    header, notes, total, *rest = out.splitlines()
    assert header.split()[:2] == ["source", "licence"]
    assert notes.split()[:4] == ["notes", "permissive", "3", "2"] and notes.endswith("language 1")
    assert total.split()[:3] == ["total", "3", "2"]
    assert "may hold dev and test documents" in rest[0]
    assert "not read, of unknown kind: 1 file" in rest[1]
    assert load_prepared(tmp_path / "set", "train", licences="permissive").names == ("notes",)


def test_the_command_prints_json_and_refuses_what_is_wrong(
    inputs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, tokenizer = inputs
    words = ("passages", folder, "-o", tmp_path / "set", "--tokenizer", tokenizer)
    monkeypatch.delenv("OPENMED_NER_CORPORA", raising=False)
    assert invoke(monkeypatch, *words) == 2
    assert '"nothing"' in capsys.readouterr().err
    assert invoke(monkeypatch, *words, "--guard", "off") == 2
    assert invoke(monkeypatch, *words, "--licence", "notes") == 2
    assert invoke(monkeypatch, *words, "--from", "word", "--guard", "nothing") == 2
    assert not (tmp_path / "set").exists()
    capsys.readouterr()
    assert invoke(monkeypatch, *words, "--guard", "nothing", "--json") == 0
    page = json.loads(capsys.readouterr().out)
    assert page == json.loads((tmp_path / "set/passages.json").read_bytes())
    assert page["not_read"] == ["README"] and page["guard"]["mode"] == "nothing"
    assert str(tmp_path) not in json.dumps(page), "no paths of this machine"
