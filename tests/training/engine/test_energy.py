from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.training.engine.energy import Energy, measure_energy, read_cards

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


def test_without_codecarbon_the_meters_of_the_cards_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cards; the second has used twice as much. The rest of the machine is not in the figure."""
    used = {0: 3.6e9, 1: 7.2e9}
    library = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=lambda card: used[card],
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with measure_energy("FRA") as meter:
        used[1] += 3.6e9
        energy = meter.read()
    assert (energy.kwh, energy.co2e_kg, energy.mode) == (1.0, None, "cards")
    assert (energy + energy).co2e_kg is None and (energy + energy).kwh == 2.0
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_cards() is None
    with measure_energy("FRA") as meter:
        assert meter.read() == Energy(country="FRA")
