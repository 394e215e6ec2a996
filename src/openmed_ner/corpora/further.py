"""Corpora beyond the benchmark: more genes, variants, cell lines, and clinical case reports.

Where the authors made no dev split, dev is every tenth training document in the order of ids. The PubTator
files are those of the AIONER project (github.com/ncbi/AIONER). Some of their offsets count characters that
the text has lost since: such a mention is read where its text occurs next to its offsets.
"""

from __future__ import annotations

from dataclasses import replace

from openmed_ner.corpora.benchmark import US_GOVERNMENT, list_files
from openmed_ner.corpora.corpus import FIRST_TENTH, OTHER_TENTHS, SPLITS, Corpus, Correction, Fold, SplitFiles

_TENTH = "Dev is every tenth training document by id."
_NO_TEST = "Only the training file is at hand, so there is no test split."
_NLM_GENE = "nlm-gene/NLMgene"
_GNORMPLUS = "gnormplus/GNormPlus"
_BIOID = "bioid/BioID_Train_revision.PubTator"


def _split_train(train: str, test: str = "") -> dict[str, SplitFiles]:
    return {
        "train": list_files("pubtator-drifted", train, fold=OTHER_TENTHS),
        "dev": list_files("pubtator-drifted", train, fold=FIRST_TENTH),
        **({"test": list_files("pubtator-drifted", test)} if test else {}),
    }


def _misspelt(member: str, line: str, mention: str, corrected: str) -> Correction:
    return Correction(
        member, line, line.replace(mention, corrected), "the mention is spelt otherwise in the text"
    )


_MACCROBAT_TYPES = {
    "Sign_symptom": "Symptom",
    "Disease_disorder": "Disease",
    "Biological_structure": "Anatomy",
    "Diagnostic_procedure": "Test",
    "Therapeutic_procedure": "Procedure",
    "Medication": "Medication",
    "Dosage": "Dosage",
    "Frequency": "Frequency",
    "Administration": "Administration",
    "Lab_value": "LabValue",
    "Detailed_description": "Description",
    "Severity": "Severity",
    "Clinical_event": "ClinicalEvent",
    "History": "History",
    "Family_history": "FamilyHistory",
    "Date": "Date",
    "Duration": "Duration",
    "Age": "Age",
    "Sex": "Sex",
}
_MACCROBAT_FOLDS = {"train": Fold(tuple(range(2, 9))), "dev": Fold((0,)), "test": Fold((1, 9))}

FURTHER: tuple[Corpus, ...] = (
    Corpus(
        name="nlm-gene",
        title="NLM-Gene",
        splits=_split_train(f"{_NLM_GENE}_Train.PubTator", f"{_NLM_GENE}_Test.PubTator"),
        official=("test",),
        labels={"Gene": "Gene", "FamilyName": "GeneFamily", "DomainMotif": "Domain", "Cell": "Cell"},
        words=(136_719, 15_491, 33_400),
        licence=US_GOVERNMENT,
        citation="Islamaj et al., NLM-Gene, a richly annotated gold standard dataset for gene entities, "
        "J Biomed Inform 118:103779, 2021",
        home="https://zenodo.org/records/5089049",
        note=f"{_TENTH} Fourteen chromosome locations are left out.",
        corrections=(
            _misspelt(
                f"{_NLM_GENE}_Train.PubTator", "20105280\t1441\t1444\tERK\tGene\t26413,26417", "ERK", "Erk"
            ),
        ),
    ),
    Corpus(
        name="gnormplus",
        title="GNormPlus",
        splits=_split_train(f"{_GNORMPLUS}_Train.PubTator", f"{_GNORMPLUS}_Test.PubTator"),
        official=("test",),
        labels={"Gene": "Gene", "FamilyName": "GeneFamily", "DomainMotif": "Domain"},
        words=(99_634, 11_382, 65_886),
        licence=US_GOVERNMENT,
        citation="Wei, Kao and Lu, GNormPlus: an integrative approach for tagging genes, gene families, and "
        "protein domains, BioMed Res Int 2015:918710, 2015",
        home="https://www.ncbi.nlm.nih.gov/research/bionlp/Tools/gnormplus/",
        note=_TENTH,
        corrections=(
            _misspelt(
                f"{_GNORMPLUS}_Train.PubTator",
                "8248204\t936\t948\t  DEAD   box\tDomainMotif",
                "  DEAD   box",
                '" DEAD " box',
            ),
            _misspelt(
                f"{_GNORMPLUS}_Test.PubTator",
                "11121057\t724\t734\t TATA  box\tDomainMotif",
                " TATA  box",
                '"TATA" box',
            ),
            _misspelt(
                f"{_GNORMPLUS}_Test.PubTator",
                "14576168\t1077\t1085\tintersex\tGene\t55588",
                "intersex",
                "Intersex",
            ),
            _misspelt(
                f"{_GNORMPLUS}_Test.PubTator",
                "9149941\t934\t988\t52-kD Ro/SSA lupus and Sjogren''s syndrome auto-antigen\tGene\t6737",
                "''",
                "'",
            ),
        ),
    ),
    Corpus(
        name="biored",
        title="BioRED",
        splits=_split_train("biored/BioRED_TrainDev.PubTator", "biored/BioRED_Test.PubTator"),
        official=("test",),
        labels={name: name for name in ("Gene", "Disease", "Chemical", "Species", "Variant", "CellLine")},
        words=(140_192, 15_969, 31_548),
        licence=US_GOVERNMENT,
        citation="Luo et al., BioRED: a rich biomedical relation extraction dataset, Brief Bioinform "
        "23(5):bbac282, 2022",
        home="https://ftp.ncbi.nlm.nih.gov/pub/lu/BioRED/",
        note="The file at hand joins the authors' train and dev. Dev is every tenth document of it by id. "
        "Many documents are also in BC5CDR, NCBI Disease, NLM-Gene or GNormPlus.",
    ),
    Corpus(
        name="tmvar3",
        title="tmVar 3",
        splits=_split_train("tmvar3/tmVar3_Train.PubTator"),
        official=(),
        labels={
            **{name: name for name in ("Gene", "Disease", "Species", "CellLine")},
            "DNAMutation": "Variant",
            "ProteinMutation": "Variant",
            "SNP": "Variant",
            "DNAAllele": "Variant",
            "ProteinAllele": "Variant",
            "AcidChange": "Variant",
            "OtherMutation": "Variant",
        },
        words=(93_195, 10_181, 0),
        licence=US_GOVERNMENT,
        citation="Wei et al., tmVar 3.0: an improved variant concept recognition and normalization tool, "
        "Bioinformatics 38(18):4449-4451, 2022",
        home="https://www.ncbi.nlm.nih.gov/research/bionlp/Tools/tmvar/",
        note=f"{_NO_TEST} {_TENTH} Seven native types of variants are one.",
        complete=False,
    ),
    Corpus(
        name="bioid",
        title="BioID, cell lines",
        splits={
            "train": list_files("captions", _BIOID, fold=replace(OTHER_TENTHS, by="article")),
            "dev": list_files("captions", _BIOID, fold=replace(FIRST_TENTH, by="article")),
        },
        official=(),
        labels={"CellLine": "CellLine"},
        words=(308_367, 36_424, 0),
        licence=US_GOVERNMENT,
        citation="Arighi et al., Bio-ID track overview, BioCreative VI workshop, 2017",
        home="https://biocreative.bioinformatics.udel.edu/tasks/biocreative-vi/track-1/",
        note=f"Figure captions. {_NO_TEST} Dev has the captions of every tenth article by id. Of captions "
        "without a cell line, two thirds of all, every fifth is read.",
        corrections=(
            Correction(
                _BIOID,
                "47728491017\t186\t194\tJurkat \tCellLine\tCVCL_0065",
                "47728491017\t186\t192\tJurkat\tCellLine\tCVCL_0065",
                "the offsets take in the next word",
            ),
        ),
        complete=False,
    ),
    Corpus(
        name="maccrobat",
        title="MACCROBAT 2020",
        splits={
            split: list_files("brat", "maccrobat/*.txt", "maccrobat/*.ann", fold=_MACCROBAT_FOLDS[split])
            for split in SPLITS
        },
        official=(),
        labels=_MACCROBAT_TYPES,
        words=(65_068, 9_867, 17_568),
        licence="CC BY 4.0 by its authors; the copy at hand states none",
        citation="Caufield et al., A comprehensive typing system for information extraction from clinical "
        "narratives, medRxiv 19009118, 2019",
        home="https://figshare.com/articles/dataset/MACCROBAT2018/9764942",
        note="171 of 200 clinical case reports. The authors made no splits: of ten documents in order of id, "
        "the first is dev, the second and the last are test. Nineteen of 41 native types are read, "
        "without the rare ones.",
        complete=False,
    ),
)
