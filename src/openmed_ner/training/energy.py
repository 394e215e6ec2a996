"""Time and energy of a run, by CodeCarbon, with the way it was measured stated.

Where neither a meter nor the processor's counters can be read, CodeCarbon multiplies time by a
constant power per processor: an estimate, and called so.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

COUNTRY = "USA"
"""ISO code of the grid whose carbon intensity is applied unless the caller names another."""


@dataclass(slots=True)
class Energy:
    """What a block of work took.

    Attributes:
        kwh: electric energy of processor, memory and accelerators.
        co2e_kg: its emissions at the grid's intensity.
        country: ISO code of that grid.
        mode: ``counter`` (RAPL or the like), ``constant`` (time by a fixed power), or ``none``: not measured.
    """

    kwh: float | None = None
    co2e_kg: float | None = None
    country: str = COUNTRY
    mode: str = "none"


@contextmanager
def measure_energy(country: str = COUNTRY) -> Iterator[Energy]:
    """Measure a block; the yielded record is filled when it ends. Never touches the network."""
    energy = Energy(country=country)
    tracker = _start(country)
    try:
        yield energy
    finally:
        if tracker is not None:
            with _quiet():
                energy.co2e_kg = tracker.stop()
            data = tracker.final_emissions_data
            energy.kwh = data.energy_consumed if data else None
            energy.mode = _mode(tracker)


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
