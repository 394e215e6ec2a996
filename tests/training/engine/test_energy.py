from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.training.engine.energy import Energy, measure_energy

FIGURES = st.floats(0, 1e3)


@given(st.lists(st.tuples(FIGURES, FIGURES), min_size=1, max_size=5))
def test_energies_of_sessions_add_up(figures: list[tuple[float, float]]) -> None:
    total = Energy()
    for kwh, co2e in figures:
        total = total + Energy(kwh, co2e, "FRA", "counter")
    assert total.kwh == pytest.approx(sum(kwh for kwh, _ in figures))
    assert total.co2e_kg == pytest.approx(sum(co2e for _, co2e in figures))
    assert (total.country, total.mode) == ("FRA", "counter")
    assert total + Energy() == total


def test_a_meter_runs_on_while_it_is_read() -> None:
    with measure_energy("FRA") as meter:
        time.sleep(0.2)
        first = meter.read()
        time.sleep(0.2)
        second = meter.read()
    assert first.mode in ("counter", "constant") and first.country == "FRA"
    assert first.kwh is not None and second.kwh is not None
    assert 0 < first.kwh < second.kwh
    assert second.to_json()["kg_co2e_per_kwh"] == pytest.approx(0.05, abs=0.04), (
        "France runs on nuclear power"
    )
    assert Energy().to_json()["kg_co2e_per_kwh"] is None
