"""Species in the words of a text: everyday names, abbreviated genera, and what follows a scientific name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from openmed_ner.linking.species import PREFIX, name_species
from openmed_ner.text.definitions import singular

_TAXA = """
sheep 9940 ewe 9940 lamb 9940 goat 9925 horse 9796 mare 9796 donkey 9793 cat 9685 hamster 10036 ferret 9669
turkey 9103 duck 8839 quail 93934 honeybee 7460 silkworm 7091 mosquito 7157
maize 4577 corn 4577 wheat 4565 rice 4530 barley 4513 rye 4550 oat 4498 sorghum 4558 soybean 3847 pea 3888
tomato 4081 potato 4113 tobacco 4097 cotton 3635 banana 4641 cacao 3641 grapevine 29760
participant 9606 infant 9606 adolescent 9606 adult 9606 girl 9606 boy 9606 neonate 9606
"""
_words = _TAXA.split()
_EVERYDAY: Mapping[str, str] = {
    word: f"{PREFIX}{taxon}" for word, taxon in zip(_words[::2], _words[1::2], strict=True)
}
"""Species that a word means first; terminologies give it to a genus, a subspecies or none."""
_BINOMIAL = re.compile(r"([A-Z])([a-z]{2,})\s+([a-z]{3,}(?:-[a-z]+)?)(?![\w-])")


def name_everyday_species(mention: str) -> str | None:
    """Species that an everyday word names; ``None`` for other mentions.

    >>> name_everyday_species("Horses")
    'NCBITaxon:9796'
    """
    word = mention.lower()
    return name_species(mention) or _EVERYDAY.get(word) or _EVERYDAY.get(word.removesuffix("s"))


def name_last_word(mention: str) -> str | None:
    """Species that the last of several words names: "nude mice"."""
    words = mention.split()
    return name_everyday_species(words[-1]) if len(words) > 1 else None


def cut_to_binomial(mention: str) -> str | None:
    """Genus and species at the beginning of a longer mention, without author, strain or pathovar.

    >>> cut_to_binomial("Jiangella muralis sp. nov.")
    'Jiangella muralis'
    """
    match = _BINOMIAL.match(mention)
    return match[0] if match and match.end() < len(mention) else None


def list_genera(text: str) -> dict[str, str]:
    """Species that a text may name by the first letter of the genus, with the full name, the first one.

    >>> list_genera("Solanum tuberosum")["S. tuberosum"]
    'Solanum tuberosum'
    """
    forms: dict[str, str] = {}
    for match in _BINOMIAL.finditer(text):
        for blank in ("", " "):
            forms.setdefault(singular(f"{match[1]}.{blank}{match[3]}"), " ".join(match[0].split()))
    return forms
