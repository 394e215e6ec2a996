"""Chemicals in the words of a text: symbols, formulas, everyday words, salts and classes of drugs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

_ELEMENTS = """
H hydrogen He helium Li lithium Be beryllium B boron C carbon N nitrogen O oxygen F fluorine Ne neon Na
sodium Mg magnesium Al aluminum Si silicon P phosphorus S sulfur Cl chlorine Ar argon K potassium Ca
calcium Sc scandium Ti titanium V vanadium Cr chromium Mn manganese Fe iron Co cobalt Ni nickel Cu copper
Zn zinc Ga gallium Ge germanium As arsenic Se selenium Br bromine Kr krypton Rb rubidium Sr strontium Y
yttrium Zr zirconium Nb niobium Mo molybdenum Tc technetium Ru ruthenium Rh rhodium Pd palladium Ag
silver Cd cadmium In indium Sn tin Sb antimony Te tellurium I iodine Xe xenon Cs cesium Ba barium La
lanthanum Ce cerium Gd gadolinium Eu europium Lu lutetium Hf hafnium Ta tantalum W tungsten Re rhenium Os
osmium Ir iridium Pt platinum Au gold Hg mercury Tl thallium Pb lead Bi bismuth Ra radium Th thorium U
uranium
"""
_COMPOUNDS: Mapping[str, str] = {
    "NO": "nitric oxide",
    "CO": "carbon monoxide",
    "CO2": "carbon dioxide",
    "O2": "oxygen",
    "N2O": "nitrous oxide",
    "H2O": "water",
    "H2O2": "hydrogen peroxide",
    "NH3": "ammonia",
    "NaCl": "sodium chloride",
    "KCl": "potassium chloride",
    "LiCl": "lithium chloride",
    "CaCl2": "calcium chloride",
    "MgSO4": "magnesium sulfate",
    "NaHCO3": "sodium bicarbonate",
    "CCl4": "carbon tetrachloride",
}
_EVERYDAY: Mapping[str, str] = {
    "alcohol": "ethanol",
    "glutamate": "glutamic acid",
    "aspartate": "aspartic acid",
    "lactate": "lactic acid",
    "pyruvate": "pyruvic acid",
    "urate": "uric acid",
}
"""Compounds that a word means in the singular; terminologies have it for a class."""
_words = _ELEMENTS.split()
SYMBOLS: Mapping[str, str] = {**dict(zip(_words[::2], _words[1::2], strict=True)), **_COMPOUNDS}
_CHARGED = re.compile(r"([A-Z][a-z]?)(?:\(?[2-4]?[+-]\)?|\([+-][2-4]?\))")


_SALT_WORDS = """
hydrochloride hydrobromide sulfate sodium potassium acetate maleate tartrate bitartrate mesylate fumarate
citrate phosphate nitrate chloride bromide succinate besylate tosylate monohydrate dihydrate
"""
_SALTS = frozenset(_SALT_WORDS.split())
_CLASSES = ("drug", "agent", "compound", "medication")


def name_compound(mention: str) -> str | None:
    """Name of the compound that a symbol, an ion or an everyday word stands for; ``None`` for other mentions.

    >>> name_compound("Ca²⁺")
    'calcium'
    """
    mention = unicodedata.normalize("NFKC", mention)  # H₂O₂
    ion = _CHARGED.fullmatch(mention)
    return SYMBOLS.get(ion[1] if ion else mention) or _EVERYDAY.get(mention.lower())


def iter_wordings(name: str) -> Iterator[str]:
    """Yield other wordings of a normalised chemical: American spelling, other words for drugs, no salt.

    >>> list(iter_wordings("morphine sulphate"))
    ['morphine sulfate', 'morphine']
    """
    american = name.replace("sulph", "sulf")
    if american != name:
        yield american
    *stem, last = american.split(" ")
    if not stem:
        return
    if last in _CLASSES:
        yield from (" ".join((*stem, other)) for other in _CLASSES if other != last)
    if last in _CLASSES or last in _SALTS:
        yield " ".join(stem)
