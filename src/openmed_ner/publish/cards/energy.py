"""The electric energy and the emissions of each step behind a model, with the arithmetic shown.

CodeCarbon measures the energy. Emissions are that energy times the intensity of one country's grid. A bundle
records its own run and the adaptation before it; searches, failed runs and the pretraining of the backbone
are not included, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openmed_ner.publish.cards.markdown import NO_RECORD, NOT_RECORDED, dig, show, table, total

MODES = {
    "counter": "the processor's energy counters",
    "constant": "time multiplied by a constant power: an estimate",
    "cards": "the meters of the GPUs, without the rest of the machine",
    "none": "not measured",
}
SCOPE = (
    "These are the runs behind the model themselves; searches, runs that failed, and the pretraining of the "
    "backbone are not in them."
)


@dataclass(frozen=True, slots=True)
class EnergyStep:
    """Energy and emissions of one step.

    Attributes:
        name: ``adaptation``, ``fine-tuning``, or the latter with the name of an earlier model.
        kwh: electric energy; ``None`` if it was not measured.
        co2e_kg: emissions; ``None`` likewise.
        country: ISO code of the grid whose intensity was applied; empty if unknown.
        mode: method of measurement, a key of :data:`MODES`; empty if unknown.
        seconds: duration.
    """

    name: str
    kwh: float | None
    co2e_kg: float | None
    country: str
    mode: str
    seconds: float | None

    @classmethod
    def of(cls, name: str, record: Mapping[str, Any]) -> EnergyStep:
        """Read a step from its run record, or from the ``training`` of a results file."""
        energy = dig(record, "energy") or {}
        return cls(
            name,
            energy.get("kwh"),
            energy.get("co2e_kg"),
            energy.get("country") or "",
            energy.get("mode") or "",
            dig(record, "history", "seconds") or dig(record, "seconds"),
        )

    @property
    def kg_per_kwh(self) -> float | None:
        """Intensity of the grid that was applied."""
        # Derived, since records hold the energy and its emissions only.
        return self.co2e_kg / self.kwh if self.kwh and self.co2e_kg is not None else None

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "kg_co2e_per_kwh": self.kg_per_kwh,
        }


@dataclass(frozen=True, slots=True)
class ModelEnergy:
    """A model of an energy report.

    Attributes:
        name: name of the bundle or of the results file.
        corpora: corpora that it was trained on.
        steps: the steps behind it.
    """

    name: str
    corpora: tuple[str, ...]
    steps: tuple[EnergyStep, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object, with the sums, and the energy per corpus."""
        kwh, co2e = total(step.kwh for step in self.steps), total(step.co2e_kg for step in self.steps)
        n_corpora = len(self.corpora)
        return {
            "name": self.name,
            "corpora": list(self.corpora),
            "steps": [step.to_json() for step in self.steps],
            "kwh": kwh,
            "co2e_kg": co2e,
            "kwh_per_corpus": kwh / n_corpora if n_corpora and kwh is not None else None,
        }


def find_steps(record: Mapping[str, Any]) -> list[EnergyStep]:
    """List the steps behind a bundle, in the order in which they ran."""
    if "passages" in record:  # an adapted encoder
        return [EnergyStep.of("adaptation", record)]
    steps = []
    # A results file only names the adaptation; its energy is then unknown, not zero.
    if adaptation := record.get("adaptation") or dig(record, "recipe", "adapted"):
        steps.append(EnergyStep.of("adaptation", adaptation if isinstance(adaptation, Mapping) else {}))
    if record:
        steps += [*_iter_starts(record, {record.get("first")}), EnergyStep.of("fine-tuning", record)]
    return steps


def _iter_starts(record: Mapping[str, Any], digests: set[object]) -> Iterator[EnergyStep]:
    """Yield the models whose weights a model has, the earliest first; each digest is counted once."""
    start = record.get("start")
    starts = (*start.get("soup", ()), start) if isinstance(start, Mapping) else ()
    # The models of a soup may have an ancestor in common, whose energy must be counted once.
    for model in (*starts, *record.get("averaged", ())):
        # The record of a mean is that of its first model.
        digest = model.get("first", model.get("sha256"))
        if digest not in digests:
            digests.add(digest)
            yield from _iter_starts(model, digests)
            yield EnergyStep.of(f"fine-tuning of {show(model.get('name'))}", model)


def list_models(results: Mapping[str, Any]) -> list[ModelEnergy]:
    """List the models of a study's results; an encoder is a model of its own, counted once."""
    encoders = [
        ModelEnergy(f"encoder {name}", (), (EnergyStep.of("adaptation", record),))
        for name, record in (results.get("encoders") or {}).items()
    ]
    runs = [
        ModelEnergy(
            "/".join(str(run[key]) for key in ("model", "encoder", "seed") if key in run),
            tuple(dig(run, "recipe", "corpora") or ()),
            (EnergyStep.of("fine-tuning", run),),
        )
        for run in results["runs"]
    ]
    return encoders + runs


def write_steps(steps: Sequence[EnergyStep]) -> str:
    """Write a table of steps and their sum, with the arithmetic of each."""
    if not steps:
        return NO_RECORD
    rows = [_row(step) for step in steps]
    if len(steps) > 1:
        kwh, co2e = total(step.kwh for step in steps), total(step.co2e_kg for step in steps)
        rows.append(["together", show(kwh, ".4g"), "", show(co2e, ".4g"), "", ""])
    columns = ("step", "kWh", "kg CO2e per kWh", "kg CO2e", "grid", "measured by")
    sums = [_arithmetic(step) for step in steps if step.kg_per_kwh is not None]
    return "\n".join([table(columns, rows), *sums, *[""] * bool(sums), SCOPE, ""])


def _row(step: EnergyStep) -> list[str]:
    return [
        step.name,
        show(step.kwh, ".4g"),
        show(step.kg_per_kwh, ".4g"),
        show(step.co2e_kg, ".4g"),
        show(step.country),
        MODES.get(step.mode, show(step.mode)),
    ]


def _arithmetic(step: EnergyStep) -> str:
    return (
        f"- {step.name}: {show(step.kwh, '.4g')} kWh × {show(step.kg_per_kwh, '.4g')} kg/kWh = "
        f"{show(step.co2e_kg, '.4g', scale=1000)} g CO2e"
    )


def report_energy(
    models: Sequence[ModelEnergy], benchmark: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Collect the energy report as a JSON object.

    Args:
        models: the models of the report.
        benchmark: benchmark of tagging, as ``benchmarks/tagging.py`` prints it.
    """
    engines = dig(benchmark, "engines") or {}
    tagging = {
        "bundle": dig(benchmark, "bundle"),
        "documents": dig(benchmark, "documents"),
        "wh_per_1000_documents": {name: row.get("wh_per_1000_documents") for name, row in engines.items()},
    }
    return {"models": [model.to_json() for model in models], "tagging": tagging if engines else None}


def write_energy(report: Mapping[str, Any]) -> str:
    """Write the energy report as a page."""
    columns = ("model", "corpora", "step", "kWh", "kg CO2e per kWh", "g CO2e", "grid", "measured by")
    rows = [_report_row(model, step) for model in report["models"] for step in model["steps"]]
    sums = [
        [
            model["name"],
            show(model["kwh"], ".4g"),
            show(model["kwh_per_corpus"], ".4g") if model["corpora"] else "none",
            show(model["co2e_kg"], ".4g"),
        ]
        for model in report["models"]
    ]

    parts = [
        "# Energy\n\n## Training and adaptation\n",
        table(columns, rows),
        f"kWh × kg CO2e per kWh = kg CO2e. {SCOPE}\n",
        table(("model", "kWh in all", "kWh per corpus", "kg CO2e in all"), sums),
        "## Tagging\n",
        _tagging(report["tagging"]),
    ]
    return "\n".join(parts)


def _report_row(model: Mapping[str, Any], step: Mapping[str, Any]) -> list[str]:
    return [
        model["name"],
        ", ".join(model["corpora"]) or "none",
        step["name"],
        show(step["kwh"], ".4g"),
        show(step["kg_co2e_per_kwh"], ".4g"),
        show(step["co2e_kg"], ".4g", scale=1000),
        show(step["country"]),
        MODES.get(step["mode"], show(step["mode"])),
    ]


def _tagging(tagging: Mapping[str, Any] | None) -> str:
    if tagging is None:
        return f"Energy of tagging: {NOT_RECORDED}.\n"
    rows = [[name, show(value, ".3f")] for name, value in tagging["wh_per_1000_documents"].items()]
    scope = f"{show(tagging['bundle'])}, measured on {show(tagging['documents'])} abstracts.\n"
    return "\n".join([scope, table(("engine", "Wh per 1,000 abstracts"), rows)])
