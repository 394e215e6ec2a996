"""Short forms that texts define, and what share of the definitions each type has.

Terminologies hold few abbreviations. A text that defines "CKD" as "chronic kidney disease", which a
terminology knows, tells the type of "CKD" as well. Definitions are counted over many texts, so a short form
with several long forms ("EGFR") has a share for each type.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from openmed_ner.terminologies.lexicon import AMBIGUOUS, CERTAIN
from openmed_ner.terminologies.normalisation import name_key

MIN_LETTERS = 2
MIN_SHARE = 0.5
"""Share of its definitions from which a short form is a name of a type."""
CERTAIN_SHARE, CERTAIN_COUNT = 0.8, 3
"""Share and number of definitions from which it is a certain one."""
DOUBTED_COUNT = 5
"""Number of definitions from which a name that they contradict is ambiguous."""


@dataclass(frozen=True, slots=True)
class ShortForm:
    """The meaning of a short form in the definitions of one type.

    Attributes:
        short: the short form as written most often.
        type: type of the long forms.
        count: definitions of the short form, of any type.
        share: share of these whose long form is a name of the type.
        long: its most frequent long form of the type, as written most often.
    """

    short: str
    type: str
    count: int
    share: float
    long: str


@dataclass
class DefinitionCounts:
    """Definitions and words of many texts.

    Attributes:
        texts: number of texts.
        long_forms: for the key of each short form, the number of each pair of short and long form.
        words: number of each word in lower case.
    """

    texts: int = 0
    long_forms: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    words: Counter[str] = field(default_factory=Counter)

    def add(self, text: str, definitions: Iterable[tuple[str, str]]) -> None:
        """Count the words of a text, and its definitions as pairs of short and long form."""
        self.texts += 1
        self.words.update(word for word in text.split() if word.isalpha() and word.islower())
        for short, long in definitions:
            if len(short) >= MIN_LETTERS and (key := name_key(short)):
                self.long_forms[key][short, " ".join(long.split())] += 1

    @property
    def n_definitions(self) -> int:
        """Number of definitions, repeated ones included."""
        return sum(counts.total() for counts in self.long_forms.values())


def find_senses(counts: DefinitionCounts, names: Mapping[str, Container[str]]) -> Iterator[ShortForm]:
    """Yield the types of all short forms, by key and type.

    Args:
        counts: definitions of many texts.
        names: for each type, the keys of its names.
    """
    keys = {long: name_key(long) for pairs in counts.long_forms.values() for _, long in pairs}
    for _, pairs in sorted(counts.long_forms.items()):
        for label, strengths in names.items():
            typed = Counter({pair: count for pair, count in pairs.items() if keys[pair[1]] in strengths})
            if typed:
                (short, long), _ = min(typed.items(), key=lambda item: (-item[1], item[0]))
                share = typed.total() / pairs.total()
                yield ShortForm(short, label, pairs.total(), share, long)


def add_short_forms(names: Mapping[str, dict[str, int]], senses: Iterable[ShortForm]) -> Counter[str]:
    """Add short forms to the names of their types, in place, and weaken the names that definitions
    contradict.

    Args:
        names: strengths by key, for each type.
        senses: short forms with their shares.

    Returns:
        Number of short forms that were added, by type.
    """
    added: Counter[str] = Counter()
    for sense in senses:
        key, strengths = name_key(sense.short), names[sense.type]
        if sense.share >= MIN_SHARE:
            certain = sense.share >= CERTAIN_SHARE and sense.count >= CERTAIN_COUNT
            added[sense.type] += key not in strengths
            strengths[key] = CERTAIN if certain else AMBIGUOUS
        elif sense.count >= DOUBTED_COUNT and key in strengths:
            strengths[key] = AMBIGUOUS
    return added
