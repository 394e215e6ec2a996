"""MMAX2, whose mentions stand apart from the words."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.mmax import parse_mmax, read_mmax
from openmed_ner.text import Document, Span


def words_xml(words: list[str], names: list[str] | None = None) -> bytes:
    names = names or [f"word_{number}" for number in range(1, len(words) + 1)]
    body = "\n".join(
        f"<word id={quoteattr(name)}>{escape(word)}</word>" for name, word in zip(names, words, strict=True)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE words SYSTEM "words.dtd">'
    return f"{head}\n<words>\n{body}\n</words>\n".encode()


def level_xml(spans: list[str], level: str = "gene") -> bytes:
    body = "\n".join(
        f'<markable id="markable_{number}" span={quoteattr(span)} mmax_level="{level}"/>'
        for number, span in enumerate(spans)
    )
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE markables SYSTEM "markables.dtd">\n'
        f'<markables xmlns="www.eml.org/NameSpaces/{level}">\n{body}\n</markables>\n'
    ).encode()


def from_mmax(words: bytes, **levels: bytes) -> Document:
    return parse_mmax(words, levels, id="d", source="d_words.xml")


xml_words = st.text(
    st.characters(
        min_codepoint=33, exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\ufffe\uffff"
    ),
    min_size=1,
    max_size=6,
)


@given(
    words=st.lists(xml_words, min_size=1, max_size=12),
    picks=st.lists(st.sets(st.integers(0, 11), min_size=1), max_size=5),
    data=st.data(),
)
def test_ranges_of_words_are_spans_and_fragments(
    words: list[str], picks: list[set[int]], data: st.DataObject
) -> None:
    """A second opinion, word by word."""
    document_text, places = "", []
    for word in words:
        document_text += " " * bool(document_text)
        places.append((len(document_text), len(document_text) + len(word)))
        document_text += word
    references, expected = [], []
    for pick in picks:
        chosen = sorted({number % len(words) for number in pick})
        runs = [
            [number for _, number in group]
            for _, group in groupby(enumerate(chosen), key=lambda pair: pair[1] - pair[0])
        ]
        pieces = []
        for run in runs:
            first, last = sorted((data.draw(st.integers(0, len(run))), data.draw(st.integers(0, len(run)))))
            parts = data.draw(st.sampled_from([(run[:last], run[first:]), (run, run[first:last])]))
            pieces += [
                f"word_{part[0] + 1}" + f"..word_{part[-1] + 1}" * (len(part) > 1 or data.draw(st.booleans()))
                for part in parts
                if part
            ]
        references.append(data.draw(st.sampled_from([",", ", "])).join(data.draw(st.permutations(pieces))))
        edges = tuple((places[run[0]][0], places[run[-1]][1]) for run in runs)
        expected.append(Span(edges[0][0], edges[-1][1], "gene", fragments=edges if len(edges) > 1 else ()))
    document = from_mmax(words_xml(words), gene=level_xml(references))
    assert document.text == " ".join(words)
    assert sorted(document.spans, key=str) == sorted(expected, key=str)
    assert [span.start for span in document.spans] == sorted(span.start for span in document.spans)


def project(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_sentences_are_no_mentions_unless_asked_for(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        {
            "mmax/Basedata/1_words.xml": words_xml(["IL-2", "binds", "p53"]),
            "mmax/Markables/1_gene_level.xml": level_xml(["word_1"]),
            "mmax/Markables/1_protein_level.xml": level_xml(["word_3"], "protein"),
            "mmax/Markables/1_sentence_level.xml": level_xml(["word_1..word_3"], "sentence"),
        },
    )
    (document,) = read_mmax(folder)
    assert document == Document("1", "IL-2 binds p53", (Span(0, 4, "gene"), Span(11, 14, "protein")))
    (document,) = read_mmax(folder, levels={"sentence": "Sentence"})
    assert document.spans == (Span(0, 14, "Sentence"),)
    (document,) = read_mmax(folder, levels={"gene": "Gene", "protein": "Gene", "absent": "X"})
    assert document.spans == (Span(0, 4, "Gene"), Span(11, 14, "Gene"))


def test_every_level_belongs_to_the_document_of_its_name(tmp_path: Path) -> None:
    names = ["1", "1_2", "[1]", "1_2_gene"]
    files = {f"a/Basedata/{name}_words.xml": words_xml([f"w{name}"], [f"w{name}"]) for name in names}
    files |= {f"a/Markables/{name}_gene_level.xml": level_xml([f"w{name}"]) for name in names}
    files |= {"b/Basedata/1_words.xml": words_xml(["x"])}
    documents = list(read_mmax(project(tmp_path, files)))
    assert [(document.id, document.text, len(document.spans)) for document in documents] == [
        *((name, f"w{name}", 1) for name in sorted(names, key="{}_words.xml".format)),
        ("1", "x", 0),
    ]


def test_a_folder_without_words_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Basedata/\*_words\.xml found"):
        list(read_mmax(tmp_path))


GOOD = words_xml(["IL-2", "binds"])
GENE = level_xml(["word_1"])
BROKEN_MMAX: dict[str, tuple[bytes, bytes, str]] = {
    "empty": (b"", GENE, "d_words.xml, line"),
    "no XML": (b"P1 IL-2", GENE, "d_words.xml, line 1: not XML"),
    "cut": (GOOD[:-5], GENE, "d_words.xml, line .*: not XML"),
    "unknown encoding": (GOOD.replace(b"UTF-8", b"UTF-9"), GENE, "d_words.xml, line 1: not XML"),
    "not UTF-8": (GOOD.replace(b"IL", b"\xe9"), GENE, "d_words.xml, line 4: not XML"),
    "cut level": (GOOD, GENE[:-5], "d_words.xml, gene, line .*: not XML"),
    "word without id": (GOOD.replace(b' id="word_2"', b""), GENE, "d_words.xml: word None is"),
    "empty word": (GOOD.replace(b"binds", b""), GENE, "d_words.xml: word 'word_2' is empty"),
    "blank word": (GOOD.replace(b"binds", b" \n"), GENE, "d_words.xml: word 'word_2' is empty"),
    "duplicate id": (GOOD.replace(b"word_2", b"word_1"), GENE, "d_words.xml: word 'word_1' is .*duplicate"),
    "unknown word": (GOOD, level_xml(["word_3"]), "d_words.xml, gene: 'word_3' names no words"),
    "unknown end": (GOOD, level_xml(["word_1..word_3"]), "d_words.xml, gene: 'word_1..word_3' names"),
    "no words": (b"<words/>", GENE, "d_words.xml, gene: 'word_1' names no words"),
    "no span": (GOOD, GENE.replace(b' span="word_1"', b""), "d_words.xml, gene: '' names no words"),
    "empty span": (GOOD, level_xml([""]), "d_words.xml, gene: '' names no words"),
    "lonely comma": (GOOD, level_xml(["word_1,"]), "d_words.xml, gene: 'word_1,' names no words"),
    "reversed": (GOOD, level_xml(["word_2..word_1"]), "d_words.xml, gene: .*runs backwards"),
    "one reversed": (GOOD, level_xml(["word_1,word_2..word_1"]), "d_words.xml, gene: .*runs backwards"),
}


@pytest.mark.parametrize(("words", "gene", "message"), BROKEN_MMAX.values(), ids=BROKEN_MMAX.keys())
def test_a_broken_mmax_file_is_named(words: bytes, gene: bytes, message: str) -> None:
    with pytest.raises(CorpusFormatError, match=f"^{message}"):
        from_mmax(words, gene=gene)


def test_comments_are_no_part_of_a_word() -> None:
    content = GOOD.replace(b"IL-2", b"I<!-- never -->L<?never?>-<b>2</b>")
    assert from_mmax(content).text == "IL-2 binds"


def entity(declaration: str, use: str = "&e;") -> bytes:
    return f"<!DOCTYPE words [{declaration}]><words><word id='word_1'>{use}</word></words>".encode()


LAUGHS = '<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ENTITIES = {
    "billion laughs": entity(LAUGHS, "&i;"),
    "quadratic": entity(f'<!ENTITY e "{"x" * 50_000}">', "&e;" * 50_000),
    "local file": entity('<!ENTITY e SYSTEM "file:///etc/passwd">'),
    "network": entity('<!ENTITY e SYSTEM "http://127.0.0.1:9/">'),
    "of its own": entity('<!ENTITY e "IL-2">'),
    "of a DTD that is not read": GOOD.replace(b"IL-2", b"&beta;"),
    "recursive": entity('<!ENTITY e "&f;"><!ENTITY f "&e;">'),
    "laughs in an id": entity(LAUGHS, "x").replace(b"word_1", b"&i;"),
}


@pytest.mark.parametrize("content", ENTITIES.values(), ids=ENTITIES.keys())
def test_entities_are_refused_and_never_expanded(content: bytes) -> None:
    started = time.process_time()
    with pytest.raises(CorpusFormatError, match=r"^d_words\.xml, line \d+: ") as caught:
        from_mmax(content)
    assert time.process_time() - started < 1
    assert len(str(caught.value)) < 300 and "root" not in str(caught.value)


def test_a_parameter_entity_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.dtd"
    secret.write_text("<!ENTITY e 'secret'>")
    content = entity(f'<!ENTITY % p SYSTEM "{secret.as_uri()}"> %p;')
    with pytest.raises(CorpusFormatError, match="line 1"):
        from_mmax(content)
    assert from_mmax(content.replace(b"&e;", b"IL-2")).text == "IL-2"


def fastest(read: Callable[[], Document]) -> tuple[float, Document]:
    """Read three times; return the least processor time in seconds, and the document.

    A collection of garbage would count what all earlier tests of the process left in memory: it is off.
    """
    gc.collect()
    gc.disable()
    try:
        times = []
        for _ in range(3):
            started = time.process_time()
            document = read()
            times.append(time.process_time() - started)
    finally:
        gc.enable()
    return min(times), document


def test_a_long_document_is_read_in_linear_time() -> None:
    size = 10_000
    spans = [f"word_{number}" for number in range(1, size + 1)] + [f"word_1..word_{size}"] * 1_000
    words, gene = words_xml(["lymphocyte"] * size), level_xml(spans)
    seconds, document = fastest(lambda: from_mmax(words, gene=gene))
    assert seconds < 1
    assert len(document.spans) == size + 1_000


word_elements = st.builds(
    '<{2}word id="{0}">{1}</{2}word>'.format,
    st.sampled_from(["w1", "w2", "w3", "w1", "", "w..1", "w,1"]),
    st.sampled_from(
        ["a", "bc", "", " ", "&amp;", "&e;", "&#0;", "<b>x</b>", "<!--c-->", "<![CDATA[<]]>", "\u0301"]
    ),
    st.sampled_from(["", "", "", "n:"]),
)
ranges = st.lists(
    st.sampled_from(["w1", "w2", "w3", "w1..w3", "w3..w1", "..", "w1..", "..w2", " w2 ", "", "w..1", "w9"]),
    max_size=4,
).map(",".join)
mark_elements = st.builds(
    '<markable id="{0}" {1}="{2}"/>'.format,
    st.sampled_from(["m1", "m2"]),
    st.sampled_from(["span", "span", "span", "x"]),
    ranges,
)
heads = st.sampled_from(
    [
        "",
        "",
        '<?xml version="1.0"?>',
        "<!DOCTYPE r>",
        '<!DOCTYPE r [<!ENTITY e "x">]>',
        '<!DOCTYPE r SYSTEM "x.dtd">',
    ]
)
roots = st.sampled_from(
    [("<r>", "</r>"), ('<r xmlns="x" xmlns:n="y">', "</r>"), ('<r xmlns:n="y">', "</r>"), ("<r>", "")]
)


def xml_of(elements: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    whole = st.builds(
        lambda head, root, body: f"{head}{root[0]}{''.join(body)}{root[1]}".encode(),
        heads,
        roots,
        st.lists(elements, max_size=5),
    )
    cut = st.builds(lambda content, at: content[:at], whole, st.integers(0, 120))
    return whole | whole | cut | st.binary(max_size=12)


good_words = st.just(words_xml(["IL-2", "binds", "to", "β"], ["w1", "w2", "w3", "w4"]))
good_marks = st.lists(st.sampled_from(["w1", "w1..w3", "w3, w1", "w2..w4,w3,w1"])).map(level_xml)
fuzzed_mmax = st.tuples(good_words | xml_of(word_elements), good_marks | xml_of(mark_elements))


@pytest.mark.fuzz
@given(contents=fuzzed_mmax)
def test_mmax_is_read_correctly_or_refused(contents: tuple[bytes, bytes]) -> None:
    words, gene = contents
    try:
        document = from_mmax(words, gene=gene)
    except CorpusFormatError as error:
        assert str(error).startswith("d_words.xml")
    else:
        assert len(document.spans) == gene.count(b"<markable ")
        assert all(span.label == "gene" for span in document.spans)
