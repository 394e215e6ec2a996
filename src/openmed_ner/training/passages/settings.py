"""The settings of a pretraining set: what is taken in, what is dropped, how texts are cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from openmed_ner.tagging.subwords import MAX_PIECES
from openmed_ner.training.recipes import require

Licences = Literal["all", "permissive"]
GuardMode = Literal["catalog", "available", "nothing"]
Language = Literal["en", "any"]


@dataclass(frozen=True, slots=True)
class PassageSettings:
    """How passages become a pretraining set.

    Attributes:
        licences: ``permissive`` leaves out every source of another licence class.
        include: take only these sources; all if empty.
        exclude: leave these sources out.
        min_subwords: shorter passages and pieces are dropped; special subwords do not count.
        max_subwords: longer passages are cut into pieces of at most this many.
        language: ``en`` keeps English passages, ``any`` asks no questions.
        guard: passages that share a sentence with a dev or test document are dropped; ``catalog`` needs
            every corpus of the catalog, ``available`` takes those at hand, ``nothing`` does not look.
        near_duplicates: a passage this similar to an earlier one (Jaccard) is dropped; 0 does not look.
        max_placeholders: most of a passage's words that may be placeholders of lost numbers, as a share.
        held_out: passages set aside for evaluation; never more than 5 % of all.
        seed: of the choice of these, and of the search for near duplicates.
    """

    licences: Licences = "all"
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
        for name, kind in (("licences", Licences), ("guard", GuardMode), ("language", Language)):
            known = get_args(kind)
            require(getattr(self, name) in known, name, getattr(self, name), f"one of {', '.join(known)}")
        fits = self.max_subwords >= MAX_PIECES
        require(fits, "max_subwords", self.max_subwords, f"at least {MAX_PIECES}, which one word may have")
        fits = 1 <= self.min_subwords <= self.max_subwords
        require(fits, "min_subwords", self.min_subwords, "a number from 1 to max_subwords")
        for name in ("near_duplicates", "max_placeholders"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "a share from 0 to 1")
        require(self.held_out >= 0, "held_out", self.held_out, "0 or more passages")
        require(0 <= self.seed < 1 << 32, "seed", self.seed, "a number from 0 to below 2**32")
        both = sorted(set(self.include) & set(self.exclude))
        require(not both, "exclude", both, "no source that is also in include")
