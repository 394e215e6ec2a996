"""The terminologies that the package reads: their files, licences, and which of their concepts have a
type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files as resources
from pathlib import Path

from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.readers.releases import (
    MESH_RELEASE,
    TAXONOMY_RELEASE,
    SupplementaryRecord,
    iter_scientific_names,
    iter_supplementary,
)
from openmed_ner.terminologies.sources import Files, OptionalFile, Source, read_table, split_cell

_MESH_DESCRIPTORS = "mesh2024-descriptors.tsv.xz"
_MESH_TERMS = "mesh2022-descriptor-terms.tsv.xz"
_MESH_RECORDS = "mesh2024-supplementary.tsv.xz"
_BINOMIALS = "ncbi-taxonomy-2024-binomials.tsv.xz"
_COMMON_NAMES = "ncbi-taxonomy-2024-common-names.tsv.xz"

MESH_TYPES = (
    ("A11.251", "CellLine"),
    ("A11", "CellType"),
    ("A", "Anatomy"),
    ("B", "Species"),
    ("C", "Disease"),
    ("F03", "Disease"),
    ("D08", "Gene"),
    ("D12.776", "Gene"),
    ("D26", ""),
    ("D27", ""),
    ("D", "Chemical"),
)
"""Types by the beginning of a tree number; the first that fits. Enzymes and proteins count as gene products,
and preparations and actions of chemicals (``MESH_ROLES``) are none of them."""

_ROLES = ("D26", "D27")
MESH_ROLES = "mesh-roles"
"""Terminology of the preparations and actions of chemicals: a mention may be linked to "diuretics", but their
names in a text are not evidence of a chemical, so they are in no lexicon."""


def mesh_types(tree_numbers: Iterable[str]) -> list[str]:
    """Distinct types of a descriptor, in the order of its tree numbers."""
    types = (
        next((label for prefix, label in MESH_TYPES if number.startswith(prefix)), "")
        for number in tree_numbers
    )
    return list(dict.fromkeys(filter(None, types)))


def _distinct(name: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(other for other in names if other and other != name))


def _prefix(prefix: str, numbers: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{prefix}:{number}" for number in numbers))


def _abbreviate(name: str) -> Iterator[str]:
    """Yield the abbreviated form of a scientific name of a species: "E. coli"."""
    genus, _, species = name.partition(" ")
    if species and genus[:1].isupper():
        yield f"{genus[0]}. {species}"


def packaged_tables() -> Path:
    """Folder of the tables of public terminologies that the package contains."""
    return Path(str(resources("openmed_ner") / "data" / "terminologies"))


def _only(files: Files) -> Path:
    (path,) = files.values()
    return path


def read_mesh(files: Files) -> Iterator[Concept]:
    """Read MeSH: descriptors with tree numbers, the terms of all their concepts, and supplementary records.

    A supplementary record has the types of the headings that it is mapped to, which are its parents. Their
    file is optional.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for row in read_table(files[_MESH_TERMS], ("id", "term")):
        names[row["id"]].append(row["term"])

    rows = list(read_table(files[_MESH_DESCRIPTORS], ("id", "name", "synonyms", "tree_numbers")))
    places = {place: row["id"] for row in rows for place in split_cell(row["tree_numbers"])}
    types: dict[str, list[str]] = {}
    for row in rows:
        number, name = row["id"], row["name"]
        tree_numbers = split_cell(row["tree_numbers"])
        types[number] = mesh_types(tree_numbers)
        further = _distinct(name, [*split_cell(row["synonyms"]), *names[number]])
        above = (places.get(place.rpartition(".")[0]) for place in tree_numbers)
        parents = _prefix("MESH", filter(None, above))
        xrefs = _prefix("NCBITaxon", split_cell(row.get("ncbi_taxon", "")))
        for label in types[number]:
            names_of_type = (*further, *_abbreviate(name)) if label == "Species" and xrefs else further
            yield Concept(f"MESH:{number}", name, names_of_type, label, "mesh", parents, xrefs)
        if not types[number] and any(place.startswith(_ROLES) for place in tree_numbers):
            yield Concept(f"MESH:{number}", name, further, "Chemical", MESH_ROLES, parents, xrefs)

    for record in _iter_supplementary(files):
        parents = _prefix("MESH", record.headings)
        labels = dict.fromkeys(label for heading in record.headings for label in types.get(heading, ()))
        for label in labels:
            further = _distinct(record.name, record.names)
            yield Concept(f"MESH:{record.id}", record.name, further, label, "mesh", parents)


def _iter_supplementary(files: Files) -> Iterator[SupplementaryRecord]:
    path = files.get(_MESH_RECORDS)
    if path is not None and MESH_RELEASE.fullmatch(path.name):
        yield from iter_supplementary(path)
    elif path is not None:
        for row in read_table(path, ("id", "name", "synonyms", "mapped_to")):
            synonyms, headings = (tuple(split_cell(row[column])) for column in ("synonyms", "mapped_to"))
            yield SupplementaryRecord(row["id"], row["name"], synonyms, headings)


def _ontology(label: str, terminology: str, prefix: str = "") -> Callable[[Files], Iterator[Concept]]:
    """Make a reader of tables with ``id``, ``name`` and ``synonyms``, whose concepts have one type."""

    def read(files: Files) -> Iterator[Concept]:
        for row in read_table(_only(files), ("id", "name", "synonyms")):
            number = row["id"] if not prefix or ":" in row["id"] else f"{prefix}:{row['id']}"
            if row["name"]:
                further = _distinct(row["name"], split_cell(row["synonyms"]))
                xrefs = tuple(split_cell(row.get("xrefs", "")))
                yield Concept(number, row["name"], further, label, terminology, (), xrefs)

    return read


_ORTHOLOGS = ("Mouse genome database ID(supplied by MGI)", "Rat genome database ID(supplied by RGD)")


def read_hgnc(files: Files) -> Iterator[Concept]:
    """Read the approved human genes: symbol, name, alias and previous symbols."""
    for row in read_table(_only(files), ("HGNC ID", "Approved symbol", "Approved name", "Status")):
        if row["Status"] == "Approved":
            aliases = [*split_cell(row["Alias symbols"], ","), *split_cell(row["Previous symbols"], ",")]
            symbol = row["Approved symbol"]
            further = _distinct(symbol, [row["Approved name"], *aliases])
            xrefs = _prefix("NCBIGene", split_cell(row.get("NCBI Gene ID(supplied by NCBI)", "")))
            orthologs = tuple(
                number for column in _ORTHOLOGS for number in split_cell(row.get(column, ""), ",")
            )
            yield Concept(row["HGNC ID"], symbol, further, "Gene", "hgnc", (), xrefs, orthologs)


def _rodent_genes(terminology: str) -> Callable[[Files], Iterator[Concept]]:
    def read(files: Files) -> Iterator[Concept]:
        for row in read_table(_only(files), ("ID", "symbol", "synonyms")):
            synonyms = split_cell(row["synonyms"].replace(";", "|"))
            number = f"{terminology.upper()}:{row['ID']}"
            if row["symbol"]:
                yield Concept(number, row["symbol"], _distinct(row["symbol"], synonyms), "Gene", terminology)

    return read


def read_taxonomy(files: Files) -> Iterator[Concept]:
    """Read genera, binomials and common names of the NCBI Taxonomy.

    A binomial has its abbreviated form as well ("E. coli"). The file of genera and binomials is optional. A
    release also has former names: *Clostridium difficile*, now *Clostridioides difficile*.
    """
    names: dict[str, list[str]] = defaultdict(list)
    former: list[tuple[str, str]] = []
    for name, taxon, is_current in _iter_scientific_names(files):
        if is_current:
            names[taxon] += (name, *_abbreviate(name))
        else:
            former.append((name, taxon))
    for name, taxon in former:
        if taxon in names:
            names[taxon] += (name, *_abbreviate(name))
    for row in read_table(files[_COMMON_NAMES], ("taxid", "common_name")):
        names[row["taxid"]].append(row["common_name"])
    for taxon, (name, *further) in names.items():
        yield Concept(f"NCBITaxon:{taxon}", name, _distinct(name, further), "Species", "ncbitaxon")


def _iter_scientific_names(files: Files) -> Iterator[tuple[str, str, bool]]:
    path = files.get(_BINOMIALS)
    if path is not None and TAXONOMY_RELEASE.fullmatch(path.name):
        yield from iter_scientific_names(path)
    elif path is not None:
        for row in read_table(path, ("name", "taxid")):
            yield row["name"], row["taxid"], True


SOURCES = (
    Source(
        "mesh",
        "Medical Subject Headings: descriptors of 2024, entry terms of 2022",
        "2024",
        "CC0-1.0",
        "https://www.nlm.nih.gov/mesh",
        (_MESH_DESCRIPTORS, _MESH_TERMS, _MESH_RECORDS),
        read_mesh,
        {
            _MESH_RECORDS: OptionalFile(
                "supplementary records",
                "323,304 further chemicals, proteins and rare diseases",
                MESH_RELEASE,
                "https://nlmpubs.nlm.nih.gov/projects/mesh/MESH_FILES/xmlmesh/supp2026.gz",
            )
        },
    ),
    Source(
        "mondo",
        "Mondo Disease Ontology",
        "2026-05-05",
        "CC-BY-4.0",
        "https://mondo.monarchinitiative.org",
        ("mondo-2026-05-names.tsv.xz",),
        _ontology("Disease", "mondo"),
    ),
    Source(
        "mondo-xrefs",
        "Mondo Disease Ontology, an earlier edition with cross-references",
        "",
        "CC-BY-4.0",
        "https://mondo.monarchinitiative.org",
        ("mondo-names-xrefs.tsv.xz",),
        _ontology("Disease", "mondo-xrefs", "MONDO"),
    ),
    Source(
        "doid",
        "Human Disease Ontology",
        "",
        "CC0-1.0",
        "https://disease-ontology.org",
        ("doid-names-xrefs.tsv.xz",),
        _ontology("Disease", "doid"),
    ),
    Source(
        "hgnc",
        "HGNC gene names",
        "",
        "CC0-1.0",
        "https://www.genenames.org",
        ("hgnc-genes.tsv.xz",),
        read_hgnc,
    ),
    Source(
        "mgi",
        "Mouse Genome Informatics",
        "",
        "CC-BY-4.0",
        "https://www.informatics.jax.org",
        ("mgi-genes.tsv.xz",),
        _rodent_genes("mgi"),
    ),
    Source(
        "rgd",
        "Rat Genome Database",
        "",
        "CC-BY-4.0",
        "https://rgd.mcw.edu",
        ("rgd-genes.tsv.xz",),
        _rodent_genes("rgd"),
    ),
    Source(
        "uberon",
        "Uberon multi-species anatomy ontology",
        "2026-04-01",
        "CC-BY-3.0",
        "https://uberon.github.io",
        ("uberon-2026-04.tsv.xz",),
        _ontology("Anatomy", "uberon"),
    ),
    Source(
        "cl",
        "Cell Ontology",
        "2026-03-26",
        "CC-BY-4.0",
        "https://obophenotype.github.io/cell-ontology",
        ("cl-2026-03.tsv.xz",),
        _ontology("CellType", "cl"),
    ),
    Source(
        "cellosaurus",
        "Cellosaurus",
        "55.0",
        "CC-BY-4.0",
        "https://www.cellosaurus.org",
        ("cellosaurus-55-labels.tsv.xz",),
        _ontology("CellLine", "cellosaurus"),
    ),
    Source(
        "ncbitaxon",
        "NCBI Taxonomy: common names",
        "2024-09-07",
        "CC0-1.0",
        "https://www.ncbi.nlm.nih.gov/taxonomy",
        (_BINOMIALS, _COMMON_NAMES),
        read_taxonomy,
        {
            _BINOMIALS: OptionalFile(
                "genera and binomials",
                "712,243 scientific names of genera and species, such as Escherichia coli",
                TAXONOMY_RELEASE,
                "https://ftp.ncbi.nlm.nih.gov/pub/taxonomy/taxdump.tar.gz",
            )
        },
    ),
)
"""The terminologies whose licences permit converted copies. The Human Phenotype Ontology is not among them,
since its licence asks for unchanged content."""
