"""Other wordings of a disease that terminologies leave out: "renal dysfunction" is a kidney disease.

A wording is changed in up to three steps, and fewer steps come first. Organs are named by adjective or by
noun, tumours and disorders by several words, adjectives stand for their nouns, and words such as "severe" are
dropped. A changed wording counts only if it is a name, in any order of its words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from openmed_ner.terminologies import normalise
from openmed_ner.terminologies.pruning import ORDINARY

MAX_VARIANTS = 80
"""Wordings that are looked up for a mention."""
_MAX_STEPS = 3
_MAX_WORDS = 8
Words = tuple[str, ...]


def _tabulate(text: str) -> Mapping[str, Words]:
    """Read lines of words that stand for each other, as normalised; blanks within one are underscores."""
    table: dict[str, Words] = {}
    for line in text.strip().splitlines():
        words = tuple(normalise(word.replace("_", " ")) for word in line.split())
        for word in words:
            table[word] = (*table.get(word, ()), *(other for other in words if other != word))
    return table


def _read_words(text: str) -> frozenset[str]:
    return frozenset(map(normalise, text.split()))


_ORGANS = _tabulate("""
renal kidney
hepatic liver
cardiac heart myocardial
pulmonary lung
cerebral brain
gastric stomach
intestinal bowel
colonic colon
ocular eye
visual vision
auditory hearing
cutaneous skin dermal
muscular muscle
skeletal bone osseous
articular joint
neurological nervous_system neurologic
psychiatric mental
cognitive cognition
haematological haematologic blood
vascular blood_vessel
venous vein
arterial artery
ovarian ovary
prostatic prostate
testicular testis
uterine uterus
mammary breast
thymic thymus
pancreatic pancreas
biliary bile_duct
bladder urinary_bladder
oesophageal oesophagus
laryngeal larynx
dental tooth
""")
_PREFIXES: Mapping[str, str] = {
    "nephro": "kidney",
    "hepato": "liver",
    "cardio": "heart",
    "neuro": "nervous system",
    "vestibulo": "vestibular",
    "myelo": "bone marrow",
    "gastro": "stomach",
    "pneumo": "lung",
    "myo": "muscle",
    "dermato": "skin",
}
"""Organs by the beginning of a word such as "nephrotoxicity"."""
_TUMOURS = _read_words("cancer tumour carcinoma adenocarcinoma malignancy")
_HEADS = _read_words("""
toxicity toxic dysfunction injury damage impairment lesion involvement complication abnormality disturbance
deficit problem anomaly defect disease disorder syndrome condition illness insufficiency failure
""")
_NAMES_OF_DISORDERS = ("disease", "disorder", "syndrome")
_FAILURES = {"failure": "insufficiency", "insufficiency": "failure"}
_MODIFIERS = _read_words("""
acute severe mild moderate chronic progressive transient persistent recurrent spontaneous refractory fatal
fulminant massive bilateral unilateral sporadic inherited hereditary familial primary secondary symptomatic
asymptomatic idiopathic isolated generalised diffuse advanced early late onset adult postoperative human
experimental clinical symptom
""")
_LOSSES = _read_words("""
decreased reduced impaired diminished deteriorated abnormal loss reduction decrease deterioration
""")
_INHERITED = _read_words("inherited hereditary familial")
_CAUSES = ("induced", "related", "associated")
_NOUNS = (
    ("toxic", "toxicity"),
    ("ful", ""),
    ("matous", "ma"),
    ("ese", "esity"),
    ("ive", "ion"),
    ("etic", "ete"),
    ("ptic", "psy"),
    ("etic", "esia"),
    ("etic", "ese"),
    ("ic", "ia"),
    ("ic", "y"),
    ("al", "a"),
    ("al", ""),
)
"""Endings of adjectives and of their nouns, as normalised."""
_TOXIC = ("toxicity", "toxic")


def iter_variants(name: str) -> Iterator[str]:
    """Yield other wordings of a normalised disease, those of fewer steps first.

    >>> "kidney disease" in iter_variants("renal dysfunction")
    True
    """
    words = tuple(name.split(" "))
    return islice(_expand(words), MAX_VARIANTS) if len(words) <= _MAX_WORDS else iter(())


def is_vague(name: str) -> bool:
    """True for a normalised name that is an ordinary word with nothing but its degree or course.

    >>> is_vague("severe injury")
    True
    """
    return all(word in ORDINARY or word in _MODIFIERS for word in name.split(" "))


def _expand(words: Words) -> Iterator[str]:
    yield from map(" ".join, _join(words))
    seen = {words}
    level = [words]
    for _ in range(_MAX_STEPS):
        following: list[Words] = []
        for change in _CHANGES:
            for wording in level:
                for changed in change(wording):
                    if changed and changed not in seen:
                        seen.add(changed)
                        following.append(changed)
                        yield " ".join(changed)
        level = following


def _join(words: Words) -> Iterator[Words]:
    """Two parts of a word that has a hyphen elsewhere: "thrombo-embolism"."""
    for place in range(len(words) - 1):
        joined = normalise(words[place] + words[place + 1])
        yield (*words[:place], joined, *words[place + 2 :])


def _rename_organ(words: Words) -> Iterator[Words]:
    joined = " ".join(words)
    for place, word in enumerate(words):
        for other in _ORGANS.get(word, ()):
            yield (*words[:place], *other.split(" "), *words[place + 1 :])
    for organ, others in _ORGANS.items():
        if " " in organ and joined.startswith(f"{organ} "):
            rest = words[organ.count(" ") + 1 :]
            for other in others:
                yield (*other.split(" "), *rest)


def _rename_tumour(words: Words) -> Iterator[Words]:
    for place, word in enumerate(words):
        if word in _TUMOURS:
            yield (*words[:place], "neoplasm", *words[place + 1 :])


def _rename_disorder(words: Words) -> Iterator[Words]:
    """Change or add the last word that says that it is a disorder."""
    stem, last = words[:-1], words[-1]
    if last in _HEADS and stem and all(word in _MODIFIERS - _INHERITED for word in stem):
        return  # "acute injury" is no acute disease
    if last not in _HEADS:
        for name in _NAMES_OF_DISORDERS:
            yield (*words, name)
        return
    if last in _FAILURES:
        yield (*stem, _FAILURES[last])
    for name in _NAMES_OF_DISORDERS:
        if name != last and stem:
            yield (*stem, name)


def _read_toxicity(words: Words) -> Iterator[Words]:
    """ "Nephrotoxicity" and "renal toxicity" are injuries or diseases of the kidney."""
    last = words[-1]
    ending = next((ending for ending in _TOXIC if last.endswith(ending)), None)
    if ending is None:
        return
    prefix = _PREFIXES.get(last.removesuffix(ending))
    if ending == "toxic":
        yield (*words[:-1], f"{last}ity")
    stem = " ".join((*words[:-1], prefix)) if prefix else " ".join(words[:-1])
    organs = [stem, *_ORGANS.get(stem, ())] if stem else []
    for organ in organs:
        yield ("drug", "induced", *organ.split(" "), "injury")
    for organ in organs:
        yield (*organ.split(" "), "disease")


def _read_loss(words: Words) -> Iterator[Words]:
    """ "Decreased renal function" is an insufficiency or a disease of the kidney."""
    rest = tuple(word for word in words if word not in _LOSSES and word != "function")
    if rest and "function" in words and len(rest) + 1 < len(words):
        yield (*rest, "insufficiency")
        yield (*rest, "disease")


def _drop_modifier(words: Words) -> Iterator[Words]:
    for place, word in enumerate(words):
        if word in _MODIFIERS and len(words) > 1:
            yield (*words[:place], *words[place + 1 :])
        if word in _CAUSES and place and place + 1 < len(words):
            yield ("drug", "induced", *words[place + 1 :])
            yield words[place + 1 :]


def _find_noun(words: Words) -> Iterator[Words]:
    last = words[-1]
    for adjective, noun in _NOUNS:
        if last.endswith(adjective) and len(last) > len(adjective) + 1:
            yield (*words[:-1], f"{last.removesuffix(adjective)}{noun}")


_CHANGES: tuple[Callable[[Words], Iterator[Words]], ...] = (
    _read_toxicity,
    _read_loss,
    _rename_organ,
    _rename_tumour,
    _find_noun,
    _rename_disorder,
    _drop_modifier,
)
