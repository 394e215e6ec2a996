"""Settings of a pretraining set: sources, filters, and lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from openmed_ner.tagging.subwords import MAX_PIECES
from openmed_ner.training.recipes import require

LicenceFilter = Literal["all", "permissive"]
GuardMode = Literal["catalog", "available", "nothing"]
Language = Literal["en", "any"]


@dataclass(frozen=True, slots=True)
class PassageSettings:
    """Settings that turn passages into a pretraining set.

    Attributes:
        licences: ``permissive`` leaves out every source of another licence class.
        include: sources to take; all if empty.
        exclude: sources to leave out.
        min_subwords: minimum length of a passage and of a piece, without special subwords.
        max_subwords: maximum length of a piece; longer passages are cut.
        language: ``en`` keeps English passages, ``any`` keeps all.
        guard: drop passages that share a sentence with a dev or test document; ``catalog`` needs every corpus
            of the catalog, ``available`` uses those on this machine, ``nothing`` drops none.
        near_duplicates: Jaccard similarity from which a passage counts as a near duplicate of an earlier one,
            and is dropped; 0 keeps all.
        max_placeholders: maximum share of lost numbers among the words of a passage.
        held_out: number of passages set aside for evaluation; at most 5 % of all.
        seed: seed of the choice of held-out passages, and of the search for near duplicates.
    """

    licences: LicenceFilter = "all"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_subwords: int = 50
    max_subwords: int = 256
    language: Language = "en"
    guard: GuardMode = "catalog"
    near_duplicates: float = 0.8
    max_placeholders: float = 0.1
    held_out: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("licences", LicenceFilter), ("guard", GuardMode), ("language", Language)):
            choices = get_args(kind)
            value = getattr(self, name)
            require(value in choices, name, value, f"one of {', '.join(choices)}")

        fits = self.max_subwords >= MAX_PIECES
        require(fits, "max_subwords", self.max_subwords, f"at least {MAX_PIECES}, the maximum of one word")
        fits = 1 <= self.min_subwords <= self.max_subwords
        require(fits, "min_subwords", self.min_subwords, "a number from 1 to max_subwords")
        for name in ("near_duplicates", "max_placeholders"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "a share from 0 to 1")
        require(self.held_out >= 0, "held_out", self.held_out, "0 or more passages")
        require(0 <= self.seed < 1 << 32, "seed", self.seed, "a number from 0 to below 2**32")

        both = sorted(set(self.include) & set(self.exclude))
        require(not both, "exclude", both, "no source that is also in include")
