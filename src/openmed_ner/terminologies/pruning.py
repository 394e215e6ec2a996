"""Names that a lexicon is better without: ordinary words, and names that training text does not annotate.

Precision is counted on training splits only. It removes names or makes them ambiguous, and adds none, so
nothing of a mention enters a lexicon.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from openmed_ner.terminologies.concept import TYPES, Concept
from openmed_ner.terminologies.lexicon import AMBIGUOUS, CERTAIN, Lexicon
from openmed_ner.terminologies.matcher import FUNCTION_WORDS, TAGS, Matcher, read_words
from openmed_ner.terminologies.normalisation import CASED, name_key, normalise
from openmed_ner.text import Document

_ORDINARY = """
activity agent analysis animal birth body case cell class complex condition control death disease disorder
drug enzyme factor family finding function gene group individual injury level life male female man woman
child membrane model molecule organ organism other patient people person placebo population process product
protein region relative role sample structure subject substance syndrome system test therapy tissue
treatment type unit unknown
"""
ORDINARY = frozenset(_ORDINARY.split())
"""Names in terminologies that are ordinary words of biomedical text, as normalised."""
SYMBOLS = ("Gene", "CellLine")
"""Types whose names are arbitrary symbols, so that one that is also a word is a word in most texts."""
ORDINARY_COUNT = 3
"""Occurrences in lower case from which a symbol is a word."""
SHORT = 3
"""Characters of the longest key that is always ambiguous."""
MAX_PIECES = 8
"""Pieces of the longest name."""
MIN_OCCURRENCES = 2
MIN_PRECISION, CERTAIN_PRECISION = 0.3, 0.75
"""Precision below which a name goes, or is ambiguous."""
_BEGIN = [TAGS.index(tag) for tag in TAGS if tag.startswith("B-")]


def select_names(
    concepts: Iterable[Concept], words: Mapping[str, int] | None = None
) -> dict[str, dict[str, int]]:
    """Collect the keys of the names of concepts, without ordinary words, numbers and single letters.

    Args:
        concepts: concepts of all types.
        words: number of each word in lower case in some texts.

    Returns:
        Strengths by key, for each type.
    """
    names: dict[str, dict[str, int]] = {label: {} for label in TYPES}
    for concept in concepts:
        strengths, symbols = names[concept.type], concept.type in SYMBOLS
        for name in concept.all_names:
            key = name_key(name)
            if key not in strengths and _is_useful(key, words or {}, symbols=symbols):
                strengths[key] = AMBIGUOUS if len(key.removeprefix(CASED)) <= SHORT else CERTAIN
    return names


def _is_useful(key: str, words: Mapping[str, int], *, symbols: bool) -> bool:
    form = key.removeprefix(CASED)
    if len(form) < 2 or form.isdigit() or key.count(" ") >= MAX_PIECES:
        return False
    if key in ORDINARY or key in FUNCTION_WORDS:
        return False
    # "CAT" is not "cat", but "Cat" is, at the beginning of a sentence.
    is_word = symbols and form.isalpha() and not form.isupper()
    return not (is_word and words.get(form.lower(), 0) >= ORDINARY_COUNT)


def prune(
    names: Mapping[str, Mapping[str, int]], documents: Mapping[str, Sequence[Document]]
) -> dict[str, dict[str, int]]:
    """Remove the names of low precision.

    A shorter name may appear where a removed one was, so this is done twice.

    Args:
        names: strengths by key, for each type.
        documents: for each type, training documents in which every mention of the type is annotated.
    """
    pruned = {label: dict(strengths) for label, strengths in names.items()}
    for label, texts in documents.items():
        for _ in range(2 if texts else 0):
            pruned[label] = _prune_once(pruned[label], label, texts)
    return pruned


def _prune_once(strengths: dict[str, int], label: str, texts: Sequence[Document]) -> dict[str, int]:
    result = dict(strengths)
    for key, (occurrences, correct) in count_matches(strengths, label, texts).items():
        precision = correct / occurrences
        if occurrences >= MIN_OCCURRENCES and precision < MIN_PRECISION:
            del result[key]
        elif occurrences >= MIN_OCCURRENCES and precision < CERTAIN_PRECISION:
            result[key] = AMBIGUOUS
    return result


def count_matches(
    strengths: Mapping[str, int], label: str, texts: Iterable[Document]
) -> dict[str, tuple[int, int]]:
    """Count the leftmost longest matches of names, and those within a gold mention.

    Args:
        strengths: strengths by key.
        label: type of the names; spans of other types do not count.
        texts: documents with gold spans.
    """
    matcher = Matcher(Lexicon.compile({label: strengths}))
    column = TYPES.index(label)
    totals: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for document in texts:
        text = document.text
        gold = [(span.start, span.end) for span in document.spans if span.label == label]
        for start, end in _iter_mentions(matcher, text, column):
            key = name_key(text[start:end])
            key = key if key in strengths else normalise(text[start:end])
            if key in strengths:  # or else two names share a number
                totals[key] += 1
                correct[key] += any(first <= start and end <= last for first, last in gold)
    return {key: (count, correct[key]) for key, count in totals.items()}


def _iter_mentions(matcher: Matcher, text: str, column: int) -> Iterable[tuple[int, int]]:
    """Yield the characters of each match of one type."""
    tokens, words, spaced = read_words(text)
    tags = matcher.tag(words, spaced)[:, column]
    groups: dict[int, list[int]] = defaultdict(list)
    first = -1
    for index in np.flatnonzero(tags).tolist():
        if tags[index] in _BEGIN:
            first = index
        groups[first].append(index)
    for indices in groups.values():
        yield tokens[indices[0]].start, tokens[indices[-1]].end
