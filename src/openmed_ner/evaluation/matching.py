"""Pair predicted with gold mentions, one to one and as many as can be.

Five rules define the allowed pairs. The table names the matching rules of SemEval-2013 task 9 and of MUC
before it, which leave open how several overlapping mentions are paired. Here it is defined:

========  ==========  ==================================================================
mode      SemEval     a gold and a predicted mention may be paired if they have
========  ==========  ==================================================================
strict    strict      equal boundaries, fragments included, and equal labels
boundary  exact       equal boundaries, fragments included
type      type        equal labels and at least one character in common
overlap   --          at least one character in common
partial   partial     the same; a pair whose boundaries differ counts half
========  ==========  ==================================================================

A greedy pairing depends on the order of the mentions and misses pairs where they nest or overlap. Here
the number of pairs (for ``partial``, the credit) is the largest possible, so the order cannot matter.
This takes a search for augmenting paths among mentions that overlap several others. A mention given twice
counts once, in gold and in predictions.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence, Set
from typing import Literal

from openmed_ner.errors import InputError
from openmed_ner.text import Document, Span

MatchMode = Literal["strict", "boundary", "type", "overlap", "partial"]
Key = tuple[int, int, str, *tuple[tuple[int, int], ...]]
"""Identity of a mention: :attr:`Span.key`."""


def match_spans(
    gold: Document, predicted: Document, *, mode: MatchMode = "strict"
) -> list[tuple[Span, Span]]:
    """Pair gold with predicted spans, in the order of the gold ones in the text.

    Of several largest pairings, the search decides: it starts from equal spans and continues with those of
    one label, so that a gold span paired under ``type`` is paired under ``overlap`` too. Of several spans
    with one key, the pair contains the most confident.

    Raises:
        InputError: the documents differ in id or text, or the mode is unknown.
    """
    require_one_text(gold, predicted)
    left_spans, right_spans = (
        {span.key: span for span in distinct_spans(document)} for document in (gold, predicted)
    )
    pairs = match_keys(left_spans.keys(), right_spans.keys(), mode=mode)
    return [(left_spans[left], right_spans[right]) for left, right in sorted(pairs.items())]


def match_keys(gold: Set[Key], predicted: Set[Key], *, mode: MatchMode) -> dict[Key, Key]:
    """Match the keys of spans: map every matched gold key to the predicted one.

    Pairing equal boundaries first costs ``partial`` no credit: such a pair counts 1, and prevents at most
    two others that count half each.

    Raises:
        InputError: the mode is unknown.
    """
    match mode:
        case "strict":
            return {key: key for key in gold & predicted}
        case "boundary":
            return _pair_boundaries(gold, predicted)
        # Equal spans go in first: Kuhn's search never unpairs a key, so they stay matched.
        case "type":
            equal = match_keys(gold, predicted, mode="strict")
            return _grow(equal, overlapping(gold, predicted, same_label=True))
        case "overlap":
            alike = match_keys(gold, predicted, mode="type")
            return _grow(alike, overlapping(gold, predicted))
        case "partial":
            # A whole match earns 1, a part 1/2: only what is left may match in part.
            whole = _pair_boundaries(gold, predicted)
            return whole | match_keys(gold - whole.keys(), predicted - {*whole.values()}, mode="overlap")
    raise InputError(f"unknown mode {mode!r}; expected strict, boundary, type, overlap or partial")


def overlapping(gold: Set[Key], predicted: Set[Key], *, same_label: bool = False) -> dict[Key, list[Key]]:
    """Map every gold key to the predicted keys that share a character with it, all in order.

    One sweep over the pieces of the mentions. Its time grows with the numbers of mentions and of overlaps,
    not with the product of gold and predicted.
    """
    pieces = sorted(
        (start, end, origin, key)
        for origin, keys in enumerate((gold, predicted))
        for key in keys
        for start, end in key[3:] or (key[:2],)
    )
    open_pieces: list[list[tuple[int, Key]]] = [[], []]
    pairs: set[tuple[Key, Key]] = set()
    # Pieces that end before this one starts can never overlap a later one, and are dropped.
    for start, end, origin, key in pieces:
        crossing = [piece for piece in open_pieces[1 - origin] if piece[0] > start]
        open_pieces[1 - origin] = crossing
        open_pieces[origin].append((end, key))
        pairs.update((other, key) if origin else (key, other) for _, other in crossing)

    neighbours: dict[Key, list[Key]] = defaultdict(list)
    for left, right in sorted(pairs):
        if not same_label or left[2] == right[2]:
            neighbours[left].append(right)
    return dict(neighbours)


def boundaries(key: Key) -> tuple[int, int, tuple[tuple[int, int], ...]]:
    """Return a key without its label."""
    return key[0], key[1], key[3:]


def require_one_text(gold: Document, predicted: Document) -> None:
    """Refuse documents that are not annotations of one text.

    Raises:
        InputError: the documents differ in id or text.
    """
    if gold.id != predicted.id or gold.text != predicted.text:
        raise InputError(
            f"gold document {gold.id!r} and predicted document {predicted.id!r} are not annotations of "
            "one text; only those can be compared"
        )


def distinct_spans(document: Document) -> list[Span]:
    """Take each mention once, as strict matching does, with its highest score; sorted."""
    # The text of the span breaks ties, so the order of the input does not matter.
    rising = sorted(document.spans, key=lambda span: (-1.0 if span.score is None else span.score, str(span)))
    best = {span.key: span for span in rising}
    return [best[key] for key in sorted(best)]


def _pair_boundaries(gold: Set[Key], predicted: Set[Key]) -> dict[Key, Key]:
    pairs = match_keys(gold, predicted, mode="strict")
    waiting: dict[object, list[Key]] = defaultdict(list)
    # Reversed, since the last one is taken first below.
    for key in sorted(predicted - gold, reverse=True):
        waiting[boundaries(key)].append(key)
    for key in sorted(gold - predicted):
        if same := waiting.get(boundaries(key)):
            pairs[key] = same.pop()
    return pairs


def _grow(pairs: Mapping[Key, Key], neighbours: Mapping[Key, Sequence[Key]]) -> dict[Key, Key]:
    """Enlarge some pairs of neighbours until there are as many as can be (Kuhn, 1955).

    Keys once paired stay paired, though perhaps with another. Predicted keys from which no path led to
    a free one never lead to one later (Lovász and Plummer, Matching Theory, 1986), and are not tried
    again.
    """
    partner = dict(pairs)
    holder = {right: left for left, right in pairs.items()}
    spent: set[Key] = set()
    for root in neighbours:
        if root not in partner:
            path = _find_path(root, neighbours, partner, holder, spent)
            partner.update(path)
            holder.update((right, left) for left, right in path)
    return partner


def _find_path(
    root: Key,
    neighbours: Mapping[Key, Sequence[Key]],
    partner: Mapping[Key, Key],
    holder: Mapping[Key, Key],
    spent: set[Key],
) -> list[tuple[Key, Key]]:
    """Find the pairs that give ``root`` a partner and leave no other key without; empty if impossible."""
    reached: dict[Key, Key] = {}
    queue = deque([root])
    while queue:
        left = queue.popleft()
        for right in neighbours[left]:
            if right in spent or right in reached:
                continue
            reached[right] = left
            if right in holder:
                queue.append(holder[right])
                continue
            path = [(left, right)]
            while left != root:
                right = partner[left]
                left = reached[right]
                path.append((left, right))
            return path
    spent.update(reached)
    return []
