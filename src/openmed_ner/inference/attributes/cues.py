"""The phrases that negate a mention, place it in the past, make it a possibility, or give it to a relative.

After the lists of NegEx (Chapman et al. 2001) and ConText (Harkema et al. 2009), shortened to phrases that
are unambiguous in notes and abstracts, and separated by comma and blank. Lower case matches any case. A
longer list would have a higher recall, but its precision would have to be measured on annotated notes, and
none are available.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cues:
    """The phrases of one category.

    Attributes:
        before: phrases with a scope that follows them in the sentence.
        after: phrases with a scope that precedes them in the sentence.
        not_cues: longer phrases in which a cue has another meaning ("not only").
        ends: phrases that end a scope.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    not_cues: tuple[str, ...]
    ends: tuple[str, ...]


def _parse(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text.split()).split(", "))


_CLAUSE = """but, however, although, though, nevertheless, yet, except, except for, apart from, aside from,
    whereas, while, because, ;, secondary to, due to, caused by"""
_VISIT = """complains of, presents with, presented with, presenting with, presents, presented, now, today,
    currently, is admitted, was admitted, admitted with, admitted for, on examination"""

_UNITS = _parse("hour, hours, day, days, week, weeks, wk, wks, month, months, mo, mos, year, years, yr, yrs")
_DURATIONS = (
    *(f"{unit} {word} of" for unit in (*_UNITS, "d") for word in ("history", "hx")),
    *(f"{n}{unit} {word} of" for n in range(1, 32) for unit in "hdwmy" for word in ("history", "hx")),
)
"""Of a complaint that began so long ago and goes on: "3 day history of", "3d hx of"."""

_NEGATED = Cues(
    before=_parse("""no, not, without, never, denies, denied, denying, deny, cannot, absence of, negative for,
        free of, lack of, lacks, lacked, no evidence of, no sign of, no signs of, rules out, ruled out,
        excludes, excluded, fails to reveal, failed to reveal, neither, nor, none of,
        doesn't, don't, didn't, wasn't, weren't, isn't, aren't, hasn't, haven't, hadn't, can't, couldn't"""),
    after=_parse("""unlikely, was ruled out, were ruled out, is ruled out, has been ruled out,
        have been ruled out, was excluded, were excluded, has been excluded, have been excluded, is absent,
        are absent, was absent, were absent, not seen, not found, not felt, not noted,
        not observed, not detected, not present, not identified, not evident, : negative,
        : no, : none, : absent, is negative, was negative, were negative, - free, denied, declined,
        has resolved, have resolved"""),
    not_cues=_parse("""not only, not necessarily, not certain if, not certain whether, no increase,
        no further, no change, no significant change, no interval change, no significant difference,
        no difference, gram negative, gram - negative, without difficulty, not rule out, cannot rule out,
        not exclude, cannot exclude, not ruled out, not been ruled out, not excluded, not been excluded,
        cannot be excluded, cannot be ruled out, no doubt, without doubt,
        without a doubt, not drain, not extend, not due to,
        not correlate, not limited to,
        not previously"""),
    ends=_parse(_CLAUSE),
)
_HISTORICAL = Cues(
    before=_parse("""history of, history is significant for, history significant for, history :,
        past history, past medical history, medical history, pmh, h / o, hx of, hx, s / p, status post,
        previous, previously, prior, former, formerly, in the past"""),
    after=_parse("""in the past, years ago, year ago, months ago, month ago, weeks ago, in childhood,
        as a child, in her youth, in his youth, by history, in remission"""),
    not_cues=(
        *_parse("""history of present illness, history and physical, family history, family hx,
            family history of, prior to, previous to, previously untreated, previously healthy,
            previously described, previously reported, previously published, previously shown,
            natural history, natural history of, previous studies, previous study, previous reports,
            social history, history taking, no history of, no prior, no previous"""),
        *_DURATIONS,
    ),
    ends=_parse(f"{_CLAUSE}, {_VISIT}, who"),
)
_HYPOTHETICAL = Cues(
    before=_parse("""if, in case of, should he, should she, should the patient, return for, possible,
        possibly, probable, probably, suspected, suspicion of, suspicion for, suspicious for, suspect,
        concern for, concerning for, question of, questionable, rule out, rule out for, r / o,
        evaluate for, evaluation for, to exclude, may, might, could be, could have, likely, presumed,
        presumptive, suggestive of, suggests, at risk for, at risk of, risk of, risk for,
        monitor for, screening for, screen for, work - up for, workup for, to prevent, prevention of,
        prophylaxis for, prophylaxis against, cannot exclude, not exclude, as needed for, prn, fear of"""),
    after=_parse("""is possible, are possible, is likely, is suspected, was suspected, were suspected,
        suspected, cannot be excluded, cannot be ruled out, could not be excluded, not ruled out,
        not been ruled out, not excluded, to be ruled out, is questionable, is considered"""),
    not_cues=_parse("even if, as if, in may"),
    ends=_parse(_CLAUSE),
)
_RELATIVES = _parse("""mother, father, brother, sister, son, daughter, aunt, uncle, cousin, grandmother,
    grandfather, mom, dad, brothers, sisters, sons, daughters, parents, siblings, relatives, nephew, niece""")
_SPEAKS = _parse("""reports, reported, states, stated, says, said, denies, denied, notes, noted, notices,
    noticed, called, brought, is worried, is concerned""")
_HOLDERS = _parse("his, her, the, a, patient's, their")
_FAMILY = Cues(
    before=(*_RELATIVES, *_parse("family history, family hx, fhx, fh :, maternal, paternal")),
    after=(
        *(f"in {holder} {relative}" for holder in _HOLDERS for relative in (*_RELATIVES, "family")),
        *(f"in {relative}" for relative in _RELATIVES),
        *_parse("runs in the family, in a first - degree relative, in first - degree relatives"),
    ),
    not_cues=(
        *(f"{relative} {verb}" for relative in _RELATIVES for verb in _SPEAKS),
        *(f"{word} {holder} {one}" for word in ("by", "with") for holder in _HOLDERS for one in _RELATIVES),
        *_parse(
            """mother of, father of, mother - to, sister chromatid, sister chromatids, in sister chromatids,
            daughter cell, daughter cells, in daughter cells"""
        ),
    ),
    ends=_parse(f"{_CLAUSE}, patient, the patient, pt, he, she, patient's, proband"),
)
CUES: dict[str, Cues] = {
    "negated": _NEGATED,
    "historical": _HISTORICAL,
    "hypothetical": _HYPOTHETICAL,
    "family": _FAMILY,
}
"""Phrases by attribute."""
