"""How large the corpora are, for plans made where their archives are not at hand."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, tuple[int, int, int]] = {
    "ncbi-disease": (135_701, 23_969, 24_497),
    "bc5cdr-chemical": (118_170, 117_453, 124_750),
    "bc5cdr-disease": (118_170, 117_453, 124_750),
    "bc4chemd": (0, 254_369, 0),
    "chemprot": (304_486, 183_804, 240_936),
    "bc2gm": (355_405, 71_042, 143_465),
    "jnlpba": (507_318, 53_465, 114_699),
    "linnaeus": (280_253, 93_573, 164_255),
    "species-800": (147_291, 22_217, 42_298),
    "anatem": (153_823, 58_871, 99_976),
    "bionlp13-cg": (83_467, 27_599, 52_771),
    "cll": (4_813, 832, 2_037),
    "gellus": (153_823, 58_871, 99_976),
    "fsu": (0, 100_994, 297_949),
}
"""Words of the train, dev and test splits, as benchmarks/corpora.py counts them; 0: no such split."""
