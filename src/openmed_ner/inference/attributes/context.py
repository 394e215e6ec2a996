"""Mark mentions that are negated, past, merely possible, or about a relative, after ConText.

The rule of ConText (Harkema et al. 2009): a cue applies from its place to the end of the sentence, forwards
or backwards, unless a phrase such as "but" ends its scope earlier. ``negspacy`` applies the rule, once for
each category. Words, sentences and cues come from this package, so that offsets remain those of the text and
the lines of a note count. The rule has no grammar: in "no fever, and he coughs" the cough is negated too.

Forms answer instead: "Fever: no", "Fever | No", "Fever (-)". An answer decides the mentions of its field, and
is no cue for any other (:mod:`openmed_ner.inference.attributes.answers`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from openmed_ner.errors import require_extra
from openmed_ner.inference.attributes.answers import Answer, find_answers
from openmed_ner.inference.attributes.cues import CUES
from openmed_ner.text import Document, Token, iter_tokens
from openmed_ner.text.sentences import iter_sentences

if TYPE_CHECKING:
    from negspacy.negation import Negex
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

_GROUP = "mentions"
_NEGATED = "negated"
_END = ";"
"""Word in the place of an answer; it ends the scope of all cues."""


def add_context(documents: Iterable[Document]) -> Iterator[Document]:
    """Add ``negated``, ``historical``, ``hypothetical`` and ``family``, each ``True``, to mentions.

    Raises:
        MissingExtraError: spaCy or negspacy is not installed.
    """
    return map(partial(_mark, _load_rules()), documents)


class _Words:
    """A tokenizer for spaCy with this package's words, so that sentences and cues are cut in the same way."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        return self.join(text[token.start : token.end] for token in iter_tokens(text))

    def pipe(self, texts: Iterable[str]) -> Iterator[Doc]:
        return map(self, texts)

    def join(self, words: Iterable[str]) -> Doc:
        """Build one sentence."""
        from spacy.tokens import Doc

        # The cues have plain apostrophes.
        plain = [word.replace("’", "'") for word in words]
        return Doc(self.vocab, words=plain, sent_starts=[number == 0 for number in range(len(plain))])


@dataclass(frozen=True, slots=True)
class _Rules:
    words: _Words
    rules: Mapping[str, Negex]


@cache
def _load_rules() -> _Rules:
    spacy = require_extra("spacy", "context")
    negation = require_extra("negspacy.negation", "context")
    language = spacy.blank("en")
    language.tokenizer = words = _Words(language.vocab)

    rules = {}
    for name, cues in CUES.items():
        terms = {
            "preceding_negations": list(cues.before),
            "following_negations": list(cues.after),
            "pseudo_negations": list(cues.not_cues),
            "termination": list(cues.ends),
        }
        rules[name] = negation.Negex(language, name, terms, extension_name=_extend(name), span_keys=[_GROUP])
    return _Rules(words, rules)


def _extend(name: str) -> str:
    """Name an extension of spaCy's spans; extensions are global to the process."""
    return f"openmed_ner_{name}"


def _mark(rules: _Rules, document: Document) -> Document:
    if not document.spans:
        return document
    spans = list(document.spans)
    answers = find_answers(document)
    for (start, end), places in _group(document, answers).items():
        tokens = [
            Token(start + token.start, start + token.end) for token in iter_tokens(document.text[start:end])
        ]
        for place, attributes in zip(places, _judge(rules, document, tokens, places, answers), strict=True):
            spans[place] = spans[place].with_attributes(attributes)
    return document.with_spans(spans)


def _group(document: Document, answers: Sequence[Answer]) -> dict[tuple[int, int], list[int]]:
    """Group the numbers of the spans by sentence; a sentence cannot begin inside a mention."""
    starts_of_lines = [answer.end for answer in answers if document.text[answer.end :][:1] in ("\r", "\n")]
    borders = sorted({start for start, _ in iter_sentences(document.text, lists=True)}.union(starts_of_lines))
    inner = {
        border
        for span in document.spans
        for border in borders[bisect_right(borders, span.start) : bisect_left(borders, span.end)]
    }
    # A full stop inside a mention, as in "St. Anthony", ends no sentence.
    starts = [border for border in borders if border not in inner]
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, span in enumerate(document.spans):
        place = bisect_right(starts, span.start)
        groups[starts[place - 1], [*starts[place : place + 1], len(document.text)][0]].append(number)
    return groups


def _judge(
    rules: _Rules,
    document: Document,
    tokens: Sequence[Token],
    places: Iterable[int],
    answers: Sequence[Answer],
) -> Iterator[dict[str, bool]]:
    """Yield the attributes of some spans of one sentence.

    Args:
        rules: a rule per category.
        document: the text and its spans.
        tokens: words of the sentence.
        places: numbers of the spans.
        answers: answers of the whole document.
    """
    from spacy.tokens import Span as DocSpan

    def find(place: int) -> Answer | None:
        """Find the answer whose field and words hold a place."""
        number = bisect_right(answers, place, key=lambda answer: answer.field)
        return answers[number - 1] if number and place < answers[number - 1].end else None

    in_answer = [
        (answer := find(token.start)) is not None and token.start >= answer.start for token in tokens
    ]
    doc = rules.words.join(
        _END if answered else document.text[token.start : token.end]
        for token, answered in zip(tokens, in_answer, strict=True)
    )
    mentions = []
    for place in places:
        span = document.spans[place]
        first = bisect_right(tokens, span.start, key=lambda token: token.end)
        last = bisect_left(tokens, span.end, key=lambda token: token.start)
        mentions.append(DocSpan(doc, first, last) if first < last else None)
    doc.spans[_GROUP] = [mention for mention in mentions if mention is not None]
    for rule in rules.rules.values():
        rule(doc)

    for place, mention in zip(places, mentions, strict=True):
        names = [name for name in rules.rules if mention is not None and mention._.get(_extend(name))]
        if answer := find(document.spans[place].start):
            names = [name for name in rules.rules if (answer.negative if name == _NEGATED else name in names)]
        yield dict.fromkeys(names, True)
