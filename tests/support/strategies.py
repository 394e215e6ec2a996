"""Random texts, documents and tags that several tests draw from."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st

from openmed_ner.text import Document, Span, TagScheme, Token, iter_tokens
from openmed_ner.text.document import EVIDENCE
from openmed_ner.text.tags import Entity

LABELS = ("Disease", "Chemical")
TRICKY = [
    "\0", "\t", "\n", "\r\n", " ", "\u00a0", "\u0085", "\u2028", "\u200b", "\u200d", "\ufe0f", "\ufeff",
    "e\u0301", "\u0301", "a\u0323\u0302", "क\u094d\u0937\u093f", "ক\u09be", "ก\u0e34", "\U0001d165",
    "α", "Ω", "β2", "糖尿病", "👩\u200d⚕️", "𝛼", "İ", "ß", "_", "-", "IL-2", "<b>", "&lt;", '"', "\\", "\t|a|",
]  # fmt: skip
CHARACTERS = st.characters(exclude_categories=("Cs",))
texts = st.lists(st.sampled_from(TRICKY) | CHARACTERS | st.text("abc 12.", max_size=8), max_size=12).map(
    "".join
)
words = st.sampled_from(["aspirin", "cancer", "the", "IL-2", "of", "zzz", "tumors.", "(", "p53", "\u200b"])
sentences = st.lists(st.tuples(words, st.sampled_from([" ", "\n"])), max_size=40).map(
    lambda pairs: "".join(word + blank for word, blank in pairs)
)


def at_most(n_examples: int) -> settings:
    """Limit the examples of a costly property, however many a run asks for."""
    return settings(max_examples=min(n_examples, settings().max_examples))


def damage(content: bytes, generator: random.Random) -> bytes:
    """Replace, add or remove a few bytes, in one to three places."""
    damaged = bytearray(content)
    for _ in range(generator.randrange(1, 4)):
        place = generator.randrange(len(damaged))
        damaged[place : place + generator.randrange(3)] = generator.randbytes(generator.randrange(3))
    return bytes(damaged)


@st.composite
def documents(draw: st.DrawFn, text: st.SearchStrategy[str] = texts, *, scored: bool = False) -> Document:
    """A document whose spans lie anywhere: they nest, overlap, repeat and cut words."""
    body = draw(text)
    positions = st.integers(0, len(body))
    edges = st.tuples(positions, positions).filter(lambda pair: pair[0] != pair[1]).map(sorted)
    score = st.none() | st.floats(0, 1) if scored else st.none()
    corpus = st.none() | st.sampled_from(["bc5cdr", "ncbi"]) if scored else st.none()
    labels = st.sampled_from(LABELS)
    spans = draw(
        st.lists(st.builds(lambda edge, *rest: Span(*edge, *rest), edges, labels, score, corpus), max_size=6)
        if body
        else st.just([])
    )
    return Document(draw(st.text(CHARACTERS, min_size=1, max_size=8)), body, tuple(spans))


@st.composite
def word_documents(draw: st.DrawFn, text: st.SearchStrategy[str] = sentences) -> Document:
    """A document whose spans begin and end with words, and do not overlap."""
    body = draw(text)
    tokens = list(iter_tokens(body))
    return Document("w", body, tuple(to_spans(draw(entities(len(tokens))), tokens)))


def to_spans(found: list[Entity], tokens: list[Token]) -> list[Span]:
    return [Span(tokens[first].start, tokens[last - 1].end, label) for first, last, label in found]


@st.composite
def entities(draw: st.DrawFn, n_words: int) -> list[Entity]:
    """Entities over some words, in order, without overlap."""
    edges = sorted(draw(st.sets(st.integers(0, n_words), max_size=8)))
    return [
        (first, last, draw(st.sampled_from(LABELS))) for first, last in pairwise(edges) if draw(st.booleans())
    ]


def random_tags(scheme: TagScheme, n: int, *, seed: int = 0) -> list[list[str]]:
    """Tag sequences of 1 to 12 words without any regard for the scheme's rules."""
    rng = random.Random(seed)
    tags = scheme.tags(LABELS)
    return [rng.choices(tags, k=rng.randint(1, 12)) for _ in range(n)]


@st.composite
def standoff(draw: st.DrawFn) -> Document:
    """A document with scores, corpora and discontinuous mentions."""
    document = draw(documents(scored=True))
    places = st.sets(st.integers(0, len(document.text)), min_size=4, max_size=8).map(sorted)
    edges = draw(st.lists(places, max_size=2)) if len(document.text) > 3 else []
    spans = list(document.spans)
    for edge in edges:
        fragments = tuple(zip(edge[::2], edge[1::2], strict=False))
        spans.append(Span(edge[0], fragments[-1][1], draw(st.sampled_from(LABELS)), fragments=fragments))
    corpus = st.none() | texts
    evidence = st.sampled_from(EVIDENCE)
    spans = [replace(span, corpus=draw(corpus), evidence=draw(evidence)) for span in spans]
    return document.with_spans(draw(st.permutations(spans)))


@st.composite
def damaged(draw: st.DrawFn, content: st.SearchStrategy[str], pieces: list[str]) -> str:
    """A file after up to four accidents: something cut out, something put in."""
    result = draw(content)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(result)))
        end = start + draw(st.sampled_from([0, 0, 1, 2, 5, 40]))
        result = result[:start] + draw(st.sampled_from(pieces) | texts) + result[end:]
    return result


# --- Files of lines and cells, as BC2GM and the tables of corpora are

line_ends = st.sampled_from(["\n", "\r\n"])
_pieces = st.lists(
    st.sampled_from([each for each in TRICKY if "\n" not in each]) | st.text("ab |1", max_size=4)
)
line_texts = _pieces.map("".join)
cell_texts = line_texts.map(lambda text: text.replace("\t", " "))


def named(groups: list[Document]) -> list[Document]:
    """Documents with names of their own."""
    return [
        Document(f"P{index}A{index}", document.text, document.spans) for index, document in enumerate(groups)
    ]


def without(document: Document, bad: Callable[[str], bool]) -> Document:
    """A document without the spans whose mention the format cannot hold."""
    return document.with_spans(span for span in document.spans if not bad(document.mention(span)))


def bare(document: Document) -> Document:
    """A document without the structure of its source."""
    return replace(document, meta={key: value for key, value in document.meta.items() if key != "structure"})
