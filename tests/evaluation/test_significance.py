from __future__ import annotations

import itertools
import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import InputError
from openmed_ner.evaluation import (
    Comparison,
    Counts,
    Scores,
    bootstrap_f1,
    mean_and_deviation,
    paired_randomisation,
    total,
)
from strategies import at_most

Pair = tuple[list[Scores], list[Scores]]


def scored(n_gold: int, found: int, fp: int, half: int = 0) -> Scores:
    return Scores({"Disease": Counts(found, fp, n_gold - found - half, half)})


@st.composite
def systems(draw: st.DrawFn) -> Pair:
    """The scores of two systems on the same documents."""
    sizes = draw(st.lists(st.integers(0, 6), max_size=8))
    first, second = (
        [scored(size, draw(st.integers(0, size)), draw(st.integers(0, 4))) for size in sizes]
        for _ in range(2)
    )
    return first, second


def simulate(seed: int, recall: tuple[float, float], n_documents: int = 40) -> Pair:
    """Two systems that find each of five mentions per document with some chance."""
    rng = random.Random(seed)
    first, second = (
        [
            scored(5, sum(rng.random() < chance for _ in range(5)), rng.randint(0, 1))
            for _ in range(n_documents)
        ]
        for chance in recall
    )
    return first, second


def exact_p_value(first: list[Scores], second: list[Scores]) -> float:
    """The share of all swaps, every one tried, after which F1 differs at least as much."""
    pairs = list(zip(first, second, strict=True))
    differences = [
        abs(total(left).micro.f1 - total(right).micro.f1)
        for swaps in itertools.product([1, -1], repeat=len(pairs))
        for left, right in [
            zip(*(pair[::swap] for pair, swap in zip(pairs, swaps, strict=True)), strict=True)
        ]
    ]
    observed = abs(total(first).micro.f1 - total(second).micro.f1)
    return sum(each >= observed - 1e-12 for each in differences) / len(differences)


@given(pair=systems())
@at_most(40)
def test_a_comparison_holds_what_it_compares(pair: Pair) -> None:
    found = paired_randomisation(*pair, rounds=99)
    assert (found.f1_first, found.f1_second) == tuple(total(each).micro.f1 for each in pair)
    assert found.difference == found.f1_first - found.f1_second
    assert 1 / 100 <= found.p_value <= 1
    assert -1 <= found.ci95[0] <= found.ci95[1] <= 1
    assert found == paired_randomisation(*pair, rounds=99)


@given(pair=systems(), seed=st.integers(0, 9))
@at_most(40)
def test_swapping_the_systems_flips_the_difference_and_keeps_p(pair: Pair, seed: int) -> None:
    forth = paired_randomisation(*pair, rounds=99, seed=seed)
    back = paired_randomisation(*pair[::-1], rounds=99, seed=seed)
    assert (back.difference, back.p_value) == (-forth.difference, forth.p_value)
    assert back.ci95 == pytest.approx((-forth.ci95[1], -forth.ci95[0]))


@given(pair=systems(), seed=st.integers(0, 9))
@at_most(40)
def test_a_system_does_not_differ_from_itself(pair: Pair, seed: int) -> None:
    f1 = total(pair[0]).micro.f1
    found = paired_randomisation(pair[0], pair[0], rounds=99, seed=seed)
    assert found == Comparison(f1, f1, p_value=1.0, ci95=(0.0, 0.0))


@pytest.mark.parametrize("seed", range(5))
def test_p_is_close_to_that_of_all_swaps(seed: int) -> None:
    pair = simulate(seed, (0.8, 0.6), n_documents=8)
    assert paired_randomisation(*pair).p_value == pytest.approx(exact_p_value(*pair), abs=0.02)


def test_p_is_about_uniform_for_systems_that_are_alike() -> None:
    p_values = np.sort(
        [paired_randomisation(*simulate(seed, (0.7, 0.7)), rounds=300).p_value for seed in range(300)]
    )
    furthest = np.abs(p_values - np.arange(1, 301) / 300).max()
    assert furthest < 1.63 / math.sqrt(300)  # Kolmogorov and Smirnov, 1 %


@pytest.mark.parametrize("seed", range(5))
def test_p_is_small_and_the_interval_leaves_out_0_for_systems_that_differ(seed: int) -> None:
    found = paired_randomisation(*simulate(seed, (0.9, 0.5)), rounds=2000)
    assert found.p_value == 1 / 2001
    assert 0 < found.ci95[0] < found.difference < found.ci95[1]


def test_the_interval_is_narrower_than_that_of_systems_that_share_nothing() -> None:
    """Paired draws cancel what makes a document hard for both."""
    rng = random.Random(0)
    first = [scored(9, rng.randint(0, 8), 1) for _ in range(60)]
    second = [scored(9, each.micro.tp + 1, 1) for each in first]
    low, high = paired_randomisation(first, second, rounds=1000).ci95
    alone_low, alone_high = bootstrap_f1(first)
    assert high - low < (alone_high - alone_low) / 3


def test_half_credits_count_half_in_tests_and_intervals() -> None:
    sample = [scored(4, 1, 1, half=each % 3) for each in range(20)]
    low, high = bootstrap_f1(sample)
    assert low < total(sample).micro.f1 < high
    assert paired_randomisation(sample, sample, rounds=9).f1_first == total(sample).micro.f1


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([scored(2, 1, 0)], [], "on 1 documents and the second on 0"),
        ([scored(2, 1, 0)] * 2, [scored(2, 0, 5), scored(3, 1, 0)], "document number 1: 2 gold entities"),
    ],
)
def test_scores_of_different_documents_are_refused(
    first: list[Scores], second: list[Scores], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        paired_randomisation(first, second)


def test_no_documents_tell_nothing() -> None:
    assert paired_randomisation([], []) == Comparison(0.0, 0.0, 1.0, (0.0, 0.0))


# --- means


def test_the_macro_mean_gives_each_label_the_same_weight() -> None:
    often, rare, spurious = Counts(90, 10, 10), Counts(0, 0, 2), Counts(0, 1, 0)
    scores = Scores({"Disease": often, "Species": rare, "Gene": spurious})
    assert scores.macro_f1 == pytest.approx(often.f1 / 3)
    assert Scores({"Disease": often}).macro_f1 == Scores({"Disease": often}).micro.f1
    assert Scores().macro_f1 == 0.0


@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_mean_and_deviation_are_those_of_a_sample(values: list[float]) -> None:
    mean, deviation = mean_and_deviation(values)
    assert min(values) - 1e-12 <= mean <= max(values) + 1e-12
    assert deviation == pytest.approx(float(np.std(values, ddof=1)), abs=1e-12)
    assert mean == pytest.approx(statistics.mean(values))


def test_one_seed_has_no_deviation_and_none_has_no_mean() -> None:
    mean, deviation = mean_and_deviation([0.8])
    assert mean == 0.8 and math.isnan(deviation)
    with pytest.raises(InputError, match="at least one"):
        mean_and_deviation([])
