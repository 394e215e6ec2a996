"""Time and energy of a run, by CodeCarbon, with the way it was measured stated.

Where neither a meter nor the processor's counters can be read, CodeCarbon multiplies time by a
constant power per processor: an estimate, and called so.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

COUNTRY = "USA"
"""ISO code of the grid whose carbon intensity is applied unless the caller names another."""


@dataclass(frozen=True, slots=True)
class Energy:
    """What some work took. Energies add, so a run that was stopped and resumed has one.

    Attributes:
        kwh: electric energy of processor, memory and accelerators; ``None`` if it was not measured.
        co2e_kg: its emissions at the grid's intensity.
        country: ISO code of that grid.
        mode: ``counter`` (RAPL or the like), ``constant`` (time by a fixed power), or ``none``: not measured.
    """

    kwh: float | None = None
    co2e_kg: float | None = None
    country: str = COUNTRY
    mode: str = "none"

    def __add__(self, other: Self) -> Self:
        if self.kwh is None or other.kwh is None:
            return self if other.kwh is None else other
        total = (self.kwh + other.kwh, (self.co2e_kg or 0.0) + (other.co2e_kg or 0.0))
        return type(self)(*total, other.country, other.mode)

    @property
    def kg_per_kwh(self) -> float | None:
        """The grid's intensity that was applied, in kg CO2e per kWh."""
        return self.co2e_kg / self.kwh if self.kwh and self.co2e_kg is not None else None

    def to_json(self) -> Mapping[str, Any]:
        """The figures and the grid's intensity, for a run record."""
        return {**asdict(self), "kg_co2e_per_kwh": self.kg_per_kwh}


class Meter:
    """Energy since the start of a block; may be read at any time."""

    def __init__(self, country: str = COUNTRY) -> None:
        self._country = country
        self._tracker = _start(country)

    def read(self) -> Energy:
        """What the block has taken so far."""
        if self._tracker is None:
            return Energy(country=self._country)
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
    """Measure a block. Never touches the network."""
    meter = Meter(country)
    try:
        yield meter
    finally:
        meter.stop()


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
    hardware = [each for each in getattr(tracker, "_hardware", []) if type(each).__name__ == "CPU"]
    constant = any(getattr(each, "_mode", "") in ("constant", "cpu_load") for each in hardware)
    return "constant" if constant or not hardware else "counter"


@contextmanager
def _quiet() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # it logs through handlers of its own, whatever level is asked for
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
