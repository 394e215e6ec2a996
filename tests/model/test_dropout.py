"""Dropout by 16 bits an element."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from openmed_ner.model.dropout import FastDropout, replace_dropout

DTYPES = (torch.float32, torch.bfloat16)


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    share=st.floats(0, 1),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 1000),
)
def test_each_element_is_dropped_or_scaled_and_its_gradient_alike(shape, share, dtype, seed):
    torch.manual_seed(seed)
    values = torch.ones(shape, dtype=dtype, requires_grad=True)
    result = FastDropout(share)(values)
    assert result.shape == values.shape and result.dtype == dtype
    retained = result[result != 0]
    torch.testing.assert_close(retained, torch.full_like(retained, 1 / (1 - share or 1)), rtol=1e-2, atol=0)
    result.sum().backward()
    torch.testing.assert_close(values.grad, result.detach())


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_dropped_and_the_mean_are_those_of_torch(share):
    torch.manual_seed(0)
    n = 1_000_003
    result = FastDropout(share)(torch.ones(n))
    error = 5 * (share * (1 - share) / n) ** 0.5
    assert abs(float((result == 0).double().mean()) - share) < error
    assert abs(float(result.double().mean()) - 1) < error / (1 - share)
    scale = nn.Dropout(share)(torch.ones(n)).max()
    torch.testing.assert_close(result.max(), scale, rtol=1e-4, atol=0)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (FastDropout(0.5)(torch.ones(4_000_000)) == 0).double()
    for lag in (1, 2, 3, 4, 8):
        together = float((dropped[lag:] * dropped[:-lag]).mean())
        assert abs(together - 0.25) < 0.002


def test_a_seed_repeats_it():
    values = torch.randn(3, 7, 5)
    torch.manual_seed(3)
    first = FastDropout(0.3)(values)
    torch.manual_seed(3)
    assert torch.equal(FastDropout(0.3)(values), first)
    assert not torch.equal(FastDropout(0.3)(values), first)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_nothing_is_dropped_outside_training(share):
    values = torch.randn(10)
    assert torch.equal(FastDropout(share).eval()(values), values)


def test_dropout_is_replaced_wherever_it_stands():
    inner = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0))
    module = nn.Sequential(nn.Dropout(0.2), inner, nn.Dropout2d(0.1))
    replace_dropout(module)
    assert [type(entry).__name__ for entry in module.modules()] == [
        "Sequential",
        "FastDropout",
        "Sequential",
        "Linear",
        "FastDropout",
        "Dropout2d",
    ]
    assert module[0].p == 0.2
