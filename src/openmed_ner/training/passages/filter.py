"""Ask every passage whether it may stay, count the answers, and spool the pieces of those that do."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from openmed_ner.errors import InputError
from openmed_ner.formats.passage import Passage
from openmed_ner.training.passages.duplicates import ExactDuplicates, NearDuplicates, WordHasher, text_digest
from openmed_ner.training.passages.guard import Guard
from openmed_ner.training.passages.settings import PassageSettings
from openmed_ner.training.passages.sources import LicenceClass, PassageSource, find_source
from openmed_ner.training.passages.subwords import PassageTokenizer, cut
from openmed_ner.training.passages.text import clean, is_english, placeholder_share

MAX_SOURCES = 256
EVERY = 500


class PassageFilter:
    """Asks every passage the questions, counts the answers, and spools what passes.

    Attributes:
        read: passages seen.
        counts: of each source, see :meth:`SourceAccount.from_counts`.
        sources: the sources seen, by name.
        numbers: the number of each source that has pieces, in the order of its first one.
        hits: passages that stand in a dev or test split, by split.
        keys: a hash of every passage kept.
        pieces: subwords of every piece kept, in order.
        owners: the passage, by its place in ``keys``, of every piece.
        source_of: the source, by number, of every passage kept.
        was_split: whether each was cut into several pieces.
    """

    def __init__(
        self,
        settings: PassageSettings,
        tokenizer: PassageTokenizer,
        guard: Guard,
        licences: Mapping[str, LicenceClass],
        spool: BinaryIO,
    ) -> None:
        self._settings, self._tokenizer, self._guard = settings, tokenizer, guard
        self._licences, self._spool = licences, spool
        self._exact = ExactDuplicates()
        threshold = settings.near_duplicates
        self._near = NearDuplicates(threshold, seed=settings.seed) if threshold else None
        self._hash_words = WordHasher()
        self.read = 0
        self.counts: dict[str, Counter[str]] = {}
        self.sources: dict[str, PassageSource] = {}
        self.numbers: dict[str, int] = {}
        self.hits: Counter[str] = Counter()
        self.keys, self.pieces, self.owners = array("Q"), array("L"), array("L")
        self.source_of, self.was_split = array("L"), array("B")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the ids that are spooled."""
        return self._tokenizer.dtype

    def take(
        self, passages: Iterable[Passage], report: Callable[[int, int], None] = lambda read, kept: None
    ) -> None:
        """Take the passages of a file."""
        for passage in passages:
            if self.read % EVERY == 0:
                report(self.read, len(self.keys))
            self.read += 1
            self._take(passage)

    def _take(self, passage: Passage) -> None:
        if passage.source not in self.sources:
            self.sources[passage.source] = find_source(passage.source, self._licences)
            self.counts[passage.source] = Counter()
        counts = self.counts[passage.source]
        counts["read"] += 1
        if reason := self._leave_out(self.sources[passage.source]):
            counts[f"dropped:{reason}"] += 1
            return
        text = clean(passage.text)
        parts = self._tokenizer.encode(text) if text else []
        lengths = self._tokenizer.lengths(parts)
        n_subwords = sum(lengths)
        counts["subwords_read"] += n_subwords
        digest = text_digest(text)
        if reason := self._refuse(text, n_subwords, digest):
            counts[f"dropped:{reason}"] += 1
            counts[f"subwords_dropped:{reason}"] += n_subwords
            return
        words = text.split(" ")
        ranges = [(0, n_subwords)]
        if n_subwords > self._settings.max_subwords:
            ranges = cut(
                words,
                lengths,
                self._settings.max_subwords,
                within=lambda place: self._tokenizer.word_lengths(words[place], first=not place),
            )
        self._keep(passage.source, b"".join(parts), ranges, digest)

    def _leave_out(self, source: PassageSource) -> str | None:
        """Why all of a source is left out, if it is."""
        settings = self._settings
        if settings.licences == "permissive" and source.licence_class != "permissive":
            return "licence"
        if source.name in settings.exclude or (settings.include and source.name not in settings.include):
            return "source"
        return None

    def _refuse(self, text: str, n_subwords: int, digest: bytes) -> str | None:
        """Why a passage is dropped, if it is."""
        settings = self._settings
        if not text:
            return "empty"
        if placeholder_share(text) > settings.max_placeholders:
            return "placeholders"
        if n_subwords < settings.min_subwords:
            return "short"
        if self._exact.add(digest):
            return "duplicate"
        if settings.language == "en" and not is_english(text):
            return "language"
        if splits := self._guard.find(text):
            self.hits.update(splits)
            return "held-out"
        if self._near is not None and self._near.add(self._hash_words(text)):
            return "near-duplicate"
        return None

    def _keep(self, name: str, ids: bytes, ranges: Sequence[tuple[int, int]], digest: bytes) -> None:
        counts, width = self.counts[name], self._tokenizer.dtype.itemsize
        long = [(start, end) for start, end in ranges if end - start >= self._settings.min_subwords]
        n_subwords = sum(end - start for start, end in long)
        lost = len(ids) // width - n_subwords
        if lost:
            counts["subwords_dropped:short"] += lost
        if not long:
            counts["dropped:short"] += 1
            return
        number = self.numbers.setdefault(name, len(self.numbers))
        if number >= MAX_SOURCES:
            raise InputError(
                f"more than {MAX_SOURCES} sources; give files fewer names, or name sources in them"
            )
        for start, end in long:
            self._spool.write(ids[start * width : end * width])
            self.pieces.append(end - start)
            self.owners.append(len(self.keys))
        key = self._settings.seed.to_bytes(8, "little")
        self.keys.append(int.from_bytes(hashlib.blake2b(digest, digest_size=8, key=key).digest(), "little"))
        self.source_of.append(number)
        self.was_split.append(len(ranges) > 1)
