"""The corpora of the benchmark: twelve of the paper, and ChemProt, which stands in for one of them.

If a release has no splits, or others than those that everybody scores, the note says who made the splits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from openmed_ner.corpora.archive import ArchiveMember
from openmed_ner.corpora.corpus import FIRST_TENTH, OTHER_TENTHS, SPLITS, Corpus, Correction, Fold, SplitFiles
from openmed_ner.corpora.hashes import SHA256


def list_files(layout: str, *paths: str, fold: Fold | None = None) -> SplitFiles:
    """Files of a split, with the digests of the known release."""
    return SplitFiles(layout, tuple(ArchiveMember(path, SHA256[path]) for path in paths), fold)


US_GOVERNMENT = "United States Government work, public domain notice; please cite"
UNSTATED = "none stated in the release; the terms of its origin apply"
_CC_BY_SA = "annotations CC BY-SA 3.0; texts under the terms of PubMed and PMC"

_NCBI = "ncbi-disease/spyysalo/original-data"
_CDR = "bc5cdr/raw/CDR_Data/CDR.Corpus.v010516"
_BC2GM = "bc2gm/spyysalo"
_JNLPBA = "jnlpba/spyysalo/standoff"
_JNLPBA_DEV = "jnlpba/baderlab/JNLPBA_BIO/valid.tsv"
_LINNAEUS = "linnaeus/original"
_S800 = "s800/s800-revision-data/original-data"
_ANATEM = "anatem/openbiocorpora/original-data"
_CG = "bionlp13cg/openbiocorpora/original-data"
_CHEMPROT = {
    "train": "chemprot/chemprot_training/chemprot_training",
    "dev": "chemprot/development/chemprot_development",
    "test": "chemprot/chemprot_test_gs/chemprot_test",
}
_DEVEL = {"train": "train", "dev": "devel", "test": "test"}
_TOKENIZER = "SciSpacyTokenizer_core_sci_sm_0.2.5"


def _huner(corpus: str, name: str, splitter: str, split: str) -> str:
    return f"{corpus}/hunflair/{name}/{splitter}_{_TOKENIZER}_{split}.conll"


def _tagged(corpus: str, name: str, split: str, fold: Fold | None = None) -> SplitFiles:
    return list_files("flair", _huner(corpus, name, "TagSentenceSplitter_[__SENT__]", split), fold=fold)


_ANATOMY = {
    "Anatomical_system": "AnatomicalSystem",
    "Cancer": "Cancer",
    "Cell": "Cell",
    "Cellular_component": "CellularComponent",
    "Developing_anatomical_structure": "DevelopingAnatomicalStructure",
    "Immaterial_anatomical_entity": "ImmaterialAnatomicalEntity",
    "Multi-tissue_structure": "MultiTissueStructure",
    "Organ": "Organ",
    "Organism_subdivision": "OrganismSubdivision",
    "Organism_substance": "OrganismSubstance",
    "Pathological_formation": "PathologicalFormation",
    "Tissue": "Tissue",
}


def _bc5cdr(label: str) -> Corpus:
    names = {"train": "CDR_TrainingSet", "dev": "CDR_DevelopmentSet", "test": "CDR_TestSet"}
    return Corpus(
        name=f"bc5cdr-{label.lower()}",
        title=f"BioCreative V CDR, {label}",
        splits={
            split: list_files("pubtator", f"{_CDR}/{name}.PubTator.txt") for split, name in names.items()
        },
        official=SPLITS,
        labels={label: label},
        words=(118_170, 117_453, 124_750),
        licence=US_GOVERNMENT,
        citation="Li et al., BioCreative V CDR task corpus, Database 2016, baw068",
        home="https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/",
    )


def _chemprot(title: str, name: str, labels: Mapping[str, str], note: str = "") -> Corpus:
    def read_split(split: str) -> SplitFiles:
        stem, suffix = _CHEMPROT[split], "_gs" if split == "test" else ""
        return list_files("chemprot", f"{stem}_abstracts{suffix}.tsv", f"{stem}_entities{suffix}.tsv")

    return Corpus(
        name=name,
        title=f"BioCreative VI ChemProt, {title}",
        splits={split: read_split(split) for split in SPLITS},
        official=SPLITS,
        labels=labels,
        words=(304_486, 183_804, 240_936),
        licence=UNSTATED,
        citation="Krallinger et al., Overview of the BioCreative VI chemical-protein interaction track, 2017",
        home="https://biocreative.bioinformatics.udel.edu/news/corpora/chemprot-corpus-biocreative-vi/",
        note=note,
        guards=("bc4chemd",),
    )


BENCHMARK: tuple[Corpus, ...] = (
    Corpus(
        name="ncbi-disease",
        title="NCBI Disease",
        splits={
            split: list_files("pubtator", f"{_NCBI}/{folder}/NCBI{name}set_corpus.txt")
            for split, folder, name in (
                ("train", "train", "train"),
                ("dev", "devel", "develop"),
                ("test", "test", "test"),
            )
        },
        official=SPLITS,
        labels={
            "SpecificDisease": "Disease",
            "DiseaseClass": "Disease",
            "Modifier": "Disease",
            "CompositeMention": "Disease",
        },
        words=(135_701, 23_969, 24_497),
        licence=US_GOVERNMENT,
        citation="Doğan, Leaman and Lu, NCBI disease corpus, J Biomed Inform 47:1-10, 2014",
        home="https://www.ncbi.nlm.nih.gov/CBBresearch/Dogan/DISEASE/",
        note="Four native subtypes are one type; abstract 8528200, there twice, is read once.",
    ),
    _bc5cdr("Chemical"),
    _bc5cdr("Disease"),
    Corpus(
        name="bc4chemd",
        title="BioCreative IV CHEMDNER",
        splits={
            "test": list_files(
                "flair",
                _huner(
                    "bc4chemd", "huner_chemical_chemdner", "SciSpacySentenceSplitter_core_sci_sm_0.2.5", "dev"
                ),
            )
        },
        official=(),
        labels={"Chemical": "Chemical"},
        words=(0, 0, 254_369),
        licence=UNSTATED,
        citation="Krallinger et al., The CHEMDNER corpus, J Cheminform 7(S1):S2, 2015",
        home="https://biocreative.bioinformatics.udel.edu/resources/biocreative-iv/chemdner-corpus/",
        note="Partial: only HUNER's dev cut, about 1,000 of 10,000 abstracts, sentence by sentence. It is "
        "a test of the ChemProt head; its score is not comparable with published ones.",
        complete=False,
    ),
    _chemprot(
        "chemicals",
        "chemprot",
        {"CHEMICAL": "Chemical"},
        "Chemicals under the CHEMDNER guideline; stands in for BC4CHEMD, with which it shares texts.",
    ),
    _chemprot(
        "genes",
        "chemprot-gene",
        {"GENE-Y": "Gene", "GENE-N": "Gene", "GENE": "Gene"},
        "Genes and proteins of the same abstracts, whether or not a database has an identifier for them.",
    ),
    Corpus(
        name="bc2gm",
        title="BioCreative II gene mention",
        splits={
            "train": list_files(
                "bc2gm", f"{_BC2GM}/devel-split/train/train.in", f"{_BC2GM}/devel-split/train/GENE.eval"
            ),
            "dev": list_files(
                "bc2gm", f"{_BC2GM}/devel-split/devel/devel.in", f"{_BC2GM}/devel-split/devel/GENE.eval"
            ),
            "test": list_files(
                "bc2gm", f"{_BC2GM}/original-data/test/test.in", f"{_BC2GM}/original-data/test/GENE.eval"
            ),
        },
        official=("test",),
        alternatives={
            "dev": list_files(
                "bc2gm", f"{_BC2GM}/devel-split/devel/devel.in", f"{_BC2GM}/devel-split/devel/ALTGENE.eval"
            ),
            "test": list_files(
                "bc2gm", f"{_BC2GM}/original-data/test/test.in", f"{_BC2GM}/original-data/test/ALTGENE.eval"
            ),
        },
        labels={"GENE": "Gene"},
        words=(355_405, 71_042, 143_465),
        licence=US_GOVERNMENT,
        citation="Smith et al., Overview of BioCreative II gene mention recognition, Genome Biol 9(S2), 2008",
        home="https://biocreative.bioinformatics.udel.edu/resources/corpora/biocreative-ii-corpus/",
        note="Single sentences, as released; dev is the customary cut of 2,500 of the 15,000 training "
        "sentences. The official scorer also accepts alternative spans; the plain score does not.",
        corrections=(
            Correction(
                f"{_BC2GM}/devel-split/train/GENE.eval",
                "P02196565T0000|162 187|translation upstream factor",
                "P02196565T0000|163 187|translation upstream factor",
                "the offsets begin one character before the mention",
            ),
        ),
    ),
    Corpus(
        name="jnlpba",
        title="JNLPBA 2004",
        splits={
            "train": list_files(
                "brat-except", f"{_JNLPBA}/train/*.txt", f"{_JNLPBA}/train/*.ann", _JNLPBA_DEV
            ),
            "dev": list_files("brat-only", f"{_JNLPBA}/train/*.txt", f"{_JNLPBA}/train/*.ann", _JNLPBA_DEV),
            "test": list_files("brat", f"{_JNLPBA}/test/*.txt", f"{_JNLPBA}/test/*.ann"),
        },
        official=("test",),
        labels={
            "protein": "Protein",
            "DNA": "DNA",
            "RNA": "RNA",
            "cell_type": "CellType",
            "cell_line": "CellLine",
        },
        words=(507_318, 53_465, 114_699),
        licence="GENIA Project licence; annotations CC BY 3.0",
        citation="Kim et al., Introduction to the bio-entity recognition task at JNLPBA, 2004",
        home="http://www.geniaproject.org/shared-tasks/bionlp-jnlpba-shared-task-2004",
        note="Dev is the customary cut of 200 of the 2,000 training abstracts. Ten test abstracts also "
        "stand in train, word for word; training leaves them out unless told otherwise.",
    ),
    Corpus(
        name="linnaeus",
        title="LINNAEUS 1.1",
        splits={
            split: list_files(
                "linnaeus",
                f"{_LINNAEUS}/txt/*.txt",
                f"{_LINNAEUS}/tags.tsv",
                f"linnaeus/spyysalo/split/{name}.txt",
            )
            for split, name in _DEVEL.items()
        },
        official=(),
        labels={"species": "Species"},
        words=(280_253, 93_573, 164_255),
        licence="CC BY 4.0",
        citation="Gerner, Nenadic and Bergman, LINNAEUS, BMC Bioinformatics 11:85, 2010",
        home="http://linnaeus.sourceforge.net/",
        note="Full articles; the customary lists of 50/17/33, as the authors made no splits. All of "
        "tags.tsv is gold, species clues such as 'patient' included.",
    ),
    Corpus(
        name="species-800",
        title="SPECIES 800",
        splits={
            split: list_files(
                "s800",
                f"{_S800}/abstracts/*.txt",
                f"{_S800}/S800.tsv",
                f"s800/spyysalo/split/{name}.txt",
                f"{_S800}/pubmedid.tsv",
            )
            for split, name in _DEVEL.items()
        },
        official=(),
        labels={"species": "Species"},
        words=(147_291, 22_217, 42_298),
        licence=UNSTATED,
        citation="Pafilis et al., The SPECIES and ORGANISMS resources, PLoS ONE 8(6):e65390, 2013",
        home="https://species.jensenlab.org/",
        note="The customary lists of 560/80/160 abstracts, as the authors made no splits.",
    ),
    Corpus(
        name="anatem",
        title="AnatEM 1.0.2",
        splits={
            split: list_files("brat", f"{_ANATEM}/standoff/{name}/*.txt", f"{_ANATEM}/standoff/{name}/*.ann")
            for split, name in _DEVEL.items()
        },
        official=SPLITS,
        labels=dict.fromkeys(_ANATOMY, "Anatomy"),
        words=(153_823, 58_871, 99_976),
        licence=_CC_BY_SA,
        citation="Pyysalo and Ananiadou, Anatomical entity mention recognition at literature scale, "
        "Bioinformatics 30(6):868-875, 2014",
        home="http://nactem.ac.uk/anatomytagger/",
        note="Twelve native types are one, as in the benchmark.",
    ),
    Corpus(
        name="bionlp13-cg",
        title="BioNLP-ST 2013 Cancer Genetics",
        splits={
            split: list_files("brat", f"{_CG}/{name}/*.txt", f"{_CG}/{name}/*.a1")
            for split, name in _DEVEL.items()
        },
        official=SPLITS,
        labels={
            "Gene_or_gene_product": "Gene",
            "Simple_chemical": "Chemical",
            "Organism": "Species",
            "Amino_acid": "AminoAcid",
            **_ANATOMY,
        },
        words=(83_467, 27_599, 52_771),
        licence=_CC_BY_SA,
        citation="Pyysalo, Ohta and Ananiadou, Overview of the Cancer Genetics task of BioNLP-ST 2013, 2013",
        home="http://2013.bionlp-st.org/tasks/cancer-genetics",
        note="Nested mentions are read; one tag per word holds the longer one, and the account says how "
        "many were lost. All test documents are AnatEM test documents.",
    ),
    Corpus(
        name="cll",
        title="CLL",
        splits={split: _tagged("cll", "huner_cell_line_cll", split) for split in SPLITS},
        official=(),
        labels={"CellLine": "CellLine"},
        words=(4_813, 832, 2_037),
        licence=UNSTATED,
        citation="Kaewphan et al., Cell line name recognition in support of the identification of synthetic "
        "lethality in cancer from text, Bioinformatics 32(2):276-282, 2016",
        home="https://github.com/TurkuNLP/Cell-line-recognition",
        note="Tokens joined by blanks: the original text is not in the release at hand. HUNER's split; the "
        "authors made CLL an evaluation set.",
    ),
    Corpus(
        name="gellus",
        title="Gellus",
        splits={
            split: list_files(
                "gellus",
                f"{_ANATEM}/standoff/all/*.txt",
                f"{_ANATEM}/splits/{name}-documents.list",
                *(
                    _huner("gellus", "huner_cell_line_gellus", "TagSentenceSplitter_[__SENT__]", part)
                    for part in SPLITS
                ),
            )
            for split, name in _DEVEL.items()
        },
        official=(),
        labels={"CellLine": "CellLine"},
        words=(153_823, 58_871, 99_976),
        licence=UNSTATED,
        citation="Kaewphan et al., Cell line name recognition in support of the identification of synthetic "
        "lethality in cancer from text, Bioinformatics 32(2):276-282, 2016",
        home="https://github.com/TurkuNLP/Cell-line-recognition",
        note="Put back on AnatEM's documents, which it annotates anew, and divided as AnatEM is, so that "
        "nothing leaks between the two; not HUNER's split.",
    ),
    Corpus(
        name="fsu",
        title="FSU-PRGE",
        splits={
            "train": _tagged("fsu", "huner_gene_fsu", "dev", fold=replace(OTHER_TENTHS, by="place")),
            "dev": _tagged("fsu", "huner_gene_fsu", "dev", fold=replace(FIRST_TENTH, by="place")),
            "test": _tagged("fsu", "huner_gene_fsu", "test"),
        },
        official=(),
        labels={"Gene": "Gene"},
        words=(90_966, 10_028, 297_949),
        licence=UNSTATED,
        citation="Hahn et al., A proposal for a configurable silver standard, LAW IV, 2010",
        home="https://julielab.de/Resources/FSU_PRGE.html",
        note="Partial: HUNER's dev and test, 1,323 of 3,307 abstracts, as sentences of tokens joined by "
        "blanks. Dev is the first tenth of HUNER's dev, train the rest of it.",
        complete=False,
    ),
)
