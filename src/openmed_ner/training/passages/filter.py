"""Filter passages, count the reasons of those dropped, and spool the pieces of those kept."""

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
"""Sources are numbered in one byte."""
EVERY = 500
"""Passages between two reports of progress."""


class PassageFilter:
    """Applies the checks to every passage, counts the results, and spools the kept pieces.

    Attributes:
        read: number of passages seen.
        counts: counts of each source, see :meth:`SourceAccount.from_counts`.
        sources: sources seen, by name.
        numbers: number of each source with pieces, in the order of the first piece.
        hits: number of passages that appear in a dev or test split, by split.
        keys: hash of every kept passage.
        pieces: length in subwords of every kept piece, in order.
        owners: index in ``keys`` of the passage of every piece.
        source_of: source number of every kept passage.
        was_split: 1 for every kept passage that was cut into several pieces, else 0.
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
        # Arrays, not lists of objects: memory per passage decides how many passages fit.
        self.keys, self.pieces, self.owners = array("Q"), array("L"), array("L")
        self.source_of, self.was_split = array("L"), array("B")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the spooled ids."""
        return self._tokenizer.dtype

    def add_all(
        self, passages: Iterable[Passage], report: Callable[[int, int], None] = lambda read, kept: None
    ) -> None:
        """Filter the passages of a file, and report the numbers read and kept now and then."""
        for passage in passages:
            if self.read % EVERY == 0:
                report(self.read, len(self.keys))
            self.read += 1
            self._add(passage)

    def _add(self, passage: Passage) -> None:
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
        if reason := self._check(text, n_subwords, digest):
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
                within=lambda index: self._tokenizer.word_lengths(words[index], first=not index),
            )
        self._keep(passage.source, b"".join(parts), ranges, digest)

    def _leave_out(self, source: PassageSource) -> str | None:
        """Return the reason to leave out a whole source, if there is one."""
        settings = self._settings
        if settings.licences == "permissive" and source.licence_class != "permissive":
            return "licence"
        if source.name in settings.exclude or (settings.include and source.name not in settings.include):
            return "source"
        return None

    def _check(self, text: str, n_subwords: int, digest: bytes) -> str | None:
        """Return the reason to drop a passage, if there is one; the cheapest checks come first."""
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
        """Spool the pieces of a passage, without those that are too short."""
        counts, width = self.counts[name], self._tokenizer.dtype.itemsize
        long = [(start, end) for start, end in ranges if end - start >= self._settings.min_subwords]
        n_subwords = sum(end - start for start, end in long)
        n_dropped = len(ids) // width - n_subwords
        if n_dropped:
            counts["subwords_dropped:short"] += n_dropped
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

        # The key decides if a passage is held out: by its text and the seed, not by its position.
        key = self._settings.seed.to_bytes(8, "little")
        self.keys.append(int.from_bytes(hashlib.blake2b(digest, digest_size=8, key=key).digest(), "little"))
        self.source_of.append(number)
        self.was_split.append(len(ranges) > 1)
