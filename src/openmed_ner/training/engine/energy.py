"""Energy of a run, measured by CodeCarbon, together with the method of measurement.

If neither a meter nor the processor's counters can be read, CodeCarbon multiplies time by a constant power
per processor. Such an estimate is labelled ``constant``. Without CodeCarbon, the meters of NVIDIA's cards are
read; the energy is then that of the cards alone.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

COUNTRY = "USA"
"""ISO code of the default grid, for its carbon intensity."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy and emissions of some work. Energies add, so a resumed run has one total.

    Attributes:
        kwh: electric energy of processor, memory and accelerators; ``None`` if not measured.
        co2e_kg: emissions at the grid's carbon intensity.
        country: ISO code of the grid.
        mode: ``counter`` (RAPL or similar), ``constant`` (time by a fixed power), ``cards`` (meters of the
            GPUs, without the rest of the machine), or ``none`` (not measured).
    """

    kwh: float | None = None
    co2e_kg: float | None = None
    country: str = COUNTRY
    mode: str = "none"

    def __add__(self, other: Self) -> Self:
        if self.kwh is None or other.kwh is None:
            return self if other.kwh is None else other
        co2e_kg = None
        if self.co2e_kg is not None or other.co2e_kg is not None:
            co2e_kg = (self.co2e_kg or 0.0) + (other.co2e_kg or 0.0)
        return type(self)(self.kwh + other.kwh, co2e_kg, other.country, other.mode)

    @property
    def kg_per_kwh(self) -> float | None:
        """Carbon intensity of the grid, in kg CO2e per kWh."""
        return self.co2e_kg / self.kwh if self.kwh and self.co2e_kg is not None else None

    def to_json(self) -> Mapping[str, Any]:
        """All figures and the grid's carbon intensity, for a run record."""
        return {**asdict(self), "kg_co2e_per_kwh": self.kg_per_kwh}


class Meter:
    """Energy since the start of a block; can be read at any time."""

    def __init__(self, country: str = COUNTRY) -> None:
        self._country = country
        self._tracker = _start(country)
        self._before = read_cards() if self._tracker is None else None

    def read(self) -> Energy:
        """Energy that the block has used so far."""
        if self._tracker is None:
            now = read_cards() if self._before is not None else None
            if now is None or self._before is None:
                return Energy(country=self._country)
            return Energy(now - self._before, None, self._country, "cards")
        with _quiet():
            co2e_kg = self._tracker.flush()
        return Energy(self._tracker._total_energy.kWh, co2e_kg, self._country, _mode(self._tracker))

    def stop(self) -> None:
        """End the block."""
        if self._tracker is not None:
            with _quiet():
                self._tracker.stop()


@contextmanager
def measure_energy(country: str = COUNTRY) -> Iterator[Meter]:
    """Measure the energy of a block, without network access."""
    meter = Meter(country)
    try:
        yield meter
    finally:
        meter.stop()


def read_cards() -> float | None:
    """Energy of the NVIDIA cards since their driver was loaded, in kWh; ``None`` without a meter."""
    try:
        import pynvml

        pynvml.nvmlInit()
        cards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        millijoules = [pynvml.nvmlDeviceGetTotalEnergyConsumption(card) for card in cards]
    except Exception:  # no such package, no card, or one without a meter; the library has many exceptions
        return None
    return sum(millijoules) / 3.6e9 if millijoules else None


def _start(country: str) -> Any:
    with _quiet():
        try:
            from codecarbon import OfflineEmissionsTracker
        except ImportError:
            return None
        tracker = OfflineEmissionsTracker(
            country_iso_code=country,
            save_to_file=False,
            log_level="critical",
            allow_multiple_runs=True,
        )
        tracker.start()
    return tracker


def _mode(tracker: Any) -> str:
    # CodeCarbon does not publish its mode; "cpu_load" scales a constant power by the load, an estimate.
    processors = [device for device in getattr(tracker, "_hardware", []) if type(device).__name__ == "CPU"]
    constant = any(getattr(device, "_mode", "") in ("constant", "cpu_load") for device in processors)
    return "constant" if constant or not processors else "counter"


@contextmanager
def _quiet() -> Iterator[None]:
    disabled = logging.root.manager.disable
    # CodeCarbon logs through its own handlers, whatever level is set.
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
