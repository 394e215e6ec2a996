"""Tag schemes: entities over a sequence of words as one tag per word.

IOB2 tags are ``O``, ``B-label``, ``I-label``. IOBES adds ``E-label`` for the last word of a longer entity and
``S-label`` for an entity of one word. Two older schemes occur in files: IOB1 writes ``B-label`` only where an
entity directly follows another of its label. IO never writes it, so it cannot hold such neighbours.

Two ways of decoding are in use, and they give different scores on malformed sequences. ``strict`` counts only
entities that follow the scheme exactly. ``conlleval`` is the lenient reading of the CoNLL-2000 script, in
which any change of label opens an entity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import pairwise
from typing import Literal

OUTSIDE = "O"
Entity = tuple[int, int, str]
"""Index of the first word, index after the last word, label."""
DecodeMode = Literal["strict", "conlleval"]


def split_tag(tag: str) -> tuple[str, str]:
    """Split ``B-Disease`` into position and label; the label of ``O`` is empty.

    Raises:
        ValueError: the tag is neither ``O`` nor ``<position>-<label>`` with a position of BIES.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    position, separator, label = tag.partition("-")
    if position not in "BIES" or len(position) != 1 or not separator or not label:
        raise ValueError(f"{tag!r} is not a tag: expected 'O', or one of B, I, E, S, a hyphen and a label")
    return position, label


class TagScheme(Enum):
    """Notation of positions inside an entity."""

    IOB2 = "IOB2"
    IOBES = "IOBES"
    IOB1 = "IOB1"
    IO = "IO"

    @property
    def positions(self) -> str:
        """Position letters of this scheme, without O."""
        return {TagScheme.IOBES: "BIES", TagScheme.IO: "I"}.get(self, "BI")

    def tags(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return all tags for some labels, ``O`` first."""
        return (OUTSIDE, *(f"{position}-{label}" for label in labels for position in self.positions))

    def encode(self, n_words: int, entities: Iterable[Entity]) -> list[str]:
        """Write entities as one tag per word.

        Raises:
            ValueError: an entity is empty, lies outside the words, or overlaps another; in IO, it
                touches another of its label.
        """
        tags = [OUTSIDE] * n_words
        for start, end, label in entities:
            if not 0 <= start < end <= n_words:
                raise ValueError(f"entity {start}..{end} does not lie within {n_words} words")
            if any(tag != OUTSIDE for tag in tags[start:end]):
                raise ValueError(f"entity {start}..{end} overlaps another; one tag per word cannot hold both")

            tags[start] = f"B-{label}"
            tags[start + 1 : end] = [f"I-{label}"] * (end - start - 1)
            if self is TagScheme.IOBES:
                tags[end - 1] = f"S-{label}" if end - start == 1 else f"E-{label}"

        if self in (TagScheme.IOB1, TagScheme.IO):
            parts = _swap_openings(split_tag(tag) for tag in tags)
            tags = [f"{position}-{label}" if label else OUTSIDE for position, label in parts]
        if self is TagScheme.IO and (touching := [tag for tag in tags if tag.startswith("B-")]):
            raise ValueError(f"two entities of label {touching[0][2:]!r} touch; IO tags cannot separate them")
        return tags

    def decode(self, tags: Sequence[str], *, mode: DecodeMode = "strict") -> list[Entity]:
        """Read the entities from a sequence of tags; the inverse of :meth:`encode`.

        Raises:
            ValueError: a tag is malformed, or its position does not belong to this scheme.
        """
        parts = [split_tag(tag) for tag in tags]
        for tag, (position, _) in zip(tags, parts, strict=True):
            if position != OUTSIDE and position not in self.positions:
                raise ValueError(f"{tag!r} is not a tag of {self.value}")
        if mode == "conlleval":
            return list(_decode_conlleval(parts))
        if self in (TagScheme.IOB1, TagScheme.IO):
            parts = list(_swap_openings(parts))
        return list(_decode_strict(parts, ends_marked=self is TagScheme.IOBES))

    def may_follow(self, before: str | None, after: str | None) -> bool:
        """Return whether ``after`` may come directly after ``before``; ``None`` is an edge of the text."""
        position_before, label_before = split_tag(before) if before else (OUTSIDE, "")
        position_after, label_after = split_tag(after) if after else (OUTSIDE, "")
        if self in (TagScheme.IOB1, TagScheme.IO):
            return position_after != "B" or label_before == label_after
        if position_after in "IE":
            return position_before in "BI" and label_before == label_after
        return self is TagScheme.IOB2 or position_before not in "BI"


_BY_PREFERENCE = (TagScheme.IOB2, TagScheme.IOBES, TagScheme.IO, TagScheme.IOB1)


def detect_scheme(sequences: Iterable[Sequence[str]]) -> TagScheme:
    """Detect the scheme from all tag sequences of a file.

    Candidates are the schemes with all position letters in use. The one broken by the fewest pairs of
    neighbouring tags wins, in case of a tie the first of IOB2, IOBES, IO, IOB1. So ``O`` alone is IOB2,
    ``I-`` alone is IO (its IOB1 reading has the same entities), an ``E-`` or ``S-`` makes it IOBES, and a few
    stray ``I-`` do not turn an IOB2 file into IOB1.

    Raises:
        ValueError: a tag is neither ``O`` nor ``<position>-<label>`` with a position of BIES.
    """
    pairs = Counter(pair for tags in sequences for pair in pairwise([None, *tags, None]))
    used = {split_tag(tag)[0] for pair in pairs for tag in pair if tag is not None}
    candidates = [scheme for scheme in _BY_PREFERENCE if used <= {OUTSIDE, *scheme.positions}]
    return min(
        candidates,
        key=lambda scheme: sum(n for pair, n in pairs.items() if not scheme.may_follow(*pair)),
    )


def _swap_openings(parts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Turn IOB1 into IOB2 and back: they differ where the label changes, IOB1 writes I and IOB2 writes B."""
    label_before = ""
    for position, label in parts:
        swapped = {"B": "I", "I": "B"}.get(position, position)
        yield (position if label == label_before else swapped), label
        label_before = label


def _decode_strict(parts: Sequence[tuple[str, str]], *, ends_marked: bool) -> Iterable[Entity]:
    start = None
    for index, (position, label) in enumerate([*parts, (OUTSIDE, "")]):
        continues = start is not None and position in "IE" and label == parts[start][1]
        if start is not None and not continues:
            # In IOBES an entity without its E does not count.
            if not ends_marked:
                yield start, index, parts[start][1]
            start = None

        if position == "B":
            start = index
        elif position == "S":
            yield index, index + 1, label
        elif position == "E" and start is not None:
            yield start, index + 1, label
            start = None


def _decode_conlleval(parts: Sequence[tuple[str, str]]) -> Iterable[Entity]:
    start = 0
    before, label_before = OUTSIDE, ""
    for index, (position, label) in enumerate([*parts, (OUTSIDE, "")]):
        inside = label_before != ""
        if inside and (before in "ES" or position in "BSO" or label != label_before):
            yield start, index, label_before
            inside = False

        if label and not inside:
            start = index
        before, label_before = position, label
