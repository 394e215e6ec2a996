"""Files that a study needs on another machine, and the study as it is written there.

On the other machine all files lie in one folder: ``backbones``, ``bundles``, ``corpora``, ``terminologies``,
``passages``, ``documents`` of custom corpora, ``texts.jsonl``, and the study itself as ``study.json``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from openmed_ner.bundle import open_bundle
from openmed_ner.corpora import find_corpus
from openmed_ner.corpora.archive import corpora_folder
from openmed_ner.errors import CorpusError, InputError
from openmed_ner.model import backbones
from openmed_ner.model.backbones import CONFIG, find_backbone
from openmed_ner.model.rounding import WeightFormat
from openmed_ner.storage import write_json
from openmed_ner.terminologies.store import LEXICON, MANIFEST, SHORT_FORMS, find_store
from openmed_ner.training.config import PretrainRecipe, Recipe
from openmed_ner.training.recipes import read_recipe
from openmed_ner.training.study.plan import Study, iter_adaptations, iter_runs
from openmed_ner.training.study.silver import draw, open_matcher, read_texts, write_documents
from openmed_ner.training.study.specs import CustomCorpus, TeacherSpec
from openmed_ner.training.transport.remote import STUDY
from openmed_ner.training.transport.weights import round_backbone

TEXTS = "texts.jsonl"
BACKBONES, CORPORA, TERMINOLOGIES, PASSAGES = "backbones", "corpora", "terminologies", "passages"
BUNDLES = "bundles"
LEXICON_FILES = (LEXICON, MANIFEST, SHORT_FORMS)
"""Files of compiled terminologies that training reads; older folders lack the last one."""


def copy_contents(
    study: Study,
    folder: Path,
    *,
    form: WeightFormat,
    passages: Path | None = None,
    texts: Path | None = None,
) -> dict[str, float]:
    """Copy everything that a study reads into a folder.

    Args:
        study: the study; its paths are resolved.
        folder: new folder.
        form: format of the weights of encoders; at least 16 bits where an adapter is trained.
        passages: prepared set for the adaptations, or a folder with one per backbone.
        texts: texts that teachers read; only those that are drawn are copied.

    Returns:
        For each backbone, the relative error of its weights.

    Raises:
        InputError: a file is missing.
    """
    recipes = [run.recipe for run in iter_runs(study)]
    if any(recipe.silver for recipe in recipes):
        raise InputError("training.silver is not packed; name a teacher by texts in the study instead")
    adaptations = {
        name: read_recipe(Path(path), kind=PretrainRecipe) for name, path in study.adaptations.items()
    }

    # An adapter fits the released weights, which 16 bits hold as arithmetic in 16 bits sees them.
    adapted: list[Recipe | PretrainRecipe] = [*recipes, *(recipe for _, recipe in iter_adaptations(study))]
    with_adapter = {recipe.backbone for recipe in adapted if recipe.method == "lora"}
    errors = {}
    for name in dict.fromkeys(recipe.backbone for recipe in adapted if not _has_start(recipe, study)):
        source = find_backbone(name)
        target = folder / BACKBONES / _short_name(name)
        is_coarse = form == "int8" and name in with_adapter
        errors[target.name] = round_backbone(source, target, "bf16" if is_coarse else form)

    for name, place in study.bundles.items():
        _copy(Path(place), folder / BUNDLES / name)
    _copy_corpora(study, recipes, folder / CORPORA)
    for lexicon in {recipe.lexicon.folder for recipe in recipes} - {""}:
        source = find_store(lexicon)
        for file in LEXICON_FILES:
            if file != SHORT_FORMS or (source / file).is_file():
                _copy(source / file, folder / TERMINOLOGIES / Path(lexicon).name / file)
    if adaptations:
        if passages is None:
            raise InputError("the adaptations of the study need prepared passages; name them in --passages")
        _copy(passages, folder / PASSAGES)
    _copy_texts(study, texts, folder / TEXTS)
    _write_study(study, adaptations, folder)
    return errors


def _has_start(recipe: Recipe | PretrainRecipe, study: Study) -> bool:
    """Whether a model needs no file of its backbone: its start has all weights, and its shape is known."""
    backbone = backbones.BACKBONES.get(recipe.backbone)
    if isinstance(recipe, PretrainRecipe) or not recipe.start or backbone is None or not backbone.standard:
        return False
    references = [open_bundle(Path(place)).manifest.backbone for place in study.bundles.values()]
    return all(
        reference.sha256 == backbone.sha256 for reference in references if reference.name == recipe.backbone
    )


def _short_name(backbone: str) -> str:
    """Name of a backbone on the other machine: that of its folder, if it is one."""
    return Path(backbone).name if (Path(backbone) / CONFIG).is_file() else backbone


def _copy_corpora(study: Study, recipes: list[Recipe], folder: Path) -> None:
    names = {name for recipe in recipes for name in recipe.corpora} - study.corpora.keys()
    names |= {guard for name in names for guard in find_corpus(name).guards}
    folder.mkdir(parents=True, exist_ok=True)
    archives = {member.archive for name in names for member in find_corpus(name).members}
    for archive in sorted(archives):
        try:
            shutil.copyfile(corpora_folder() / archive, folder / archive)
        except OSError as error:
            raise CorpusError(f"cannot read {error.filename}: {error.strerror}") from error


def _copy_texts(study: Study, texts: Path | None, target: Path) -> None:
    """Copy the texts that the teachers will draw: a smaller draw is a part of a larger one.

    Raises:
        InputError: no texts are named, or the teachers prefer different texts.
    """
    reading = [teacher for teacher in study.teachers.values() if teacher.texts]
    if not reading:
        return
    if texts is None:
        raise InputError("the teachers of the study need texts to read; name them in --texts")
    if len({teacher.prefer for teacher in reading}) > 1:
        raise InputError("teachers.*.prefer: expected the same for all teachers of a packed study")
    matcher = open_matcher(study, reading[0])
    write_documents(draw(read_texts(texts), _most_texts(study), matcher=matcher), target)


def _most_texts(study: Study) -> int:
    return max((teacher.texts for teacher in study.teachers.values()), default=0)


def _without_preference(study: Study, teacher: TeacherSpec) -> TeacherSpec:
    """A teacher that draws all packed texts has no choice, which spares the other machine the search."""
    return replace(teacher, prefer="any") if teacher.texts == _most_texts(study) else teacher


def _write_study(study: Study, adaptations: dict[str, PretrainRecipe], folder: Path) -> None:
    """Write the study with the paths of the other machine."""
    for name, recipe in adaptations.items():
        record = asdict(replace(recipe, backbone=_short_name(recipe.backbone)))
        write_json(folder / f"adapt-{name}.json", record)

    corpora = {}
    for name, corpus in study.corpora.items():
        paths = {}
        for split in ("train", "dev", "test"):
            source = Path(getattr(corpus, split))
            paths[split] = f"documents/{name}/{split}/{source.name}"
            _copy(source, folder / paths[split])
        corpora[name] = CustomCorpus(**paths, format=corpus.format)

    training = replace(
        study.training,
        backbone=_short_name(study.training.backbone),
        lexicon=replace(study.training.lexicon, folder=Path(study.training.lexicon.folder).name),
    )
    packed = replace(
        study,
        backbones=tuple(map(_short_name, study.backbones)),
        models={
            name: replace(model, training=_with_short_lexicon(model.training))
            for name, model in study.models.items()
        },
        adaptations={name: f"adapt-{name}.json" for name in adaptations},
        bundles={name: f"{BUNDLES}/{name}" for name in study.bundles},
        teachers={name: _without_preference(study, teacher) for name, teacher in study.teachers.items()},
        corpora=corpora,
        training=training,
    )
    write_json(folder / STUDY, asdict(packed))


def _with_short_lexicon(training: Mapping[str, Any]) -> Mapping[str, Any]:
    lexicon = training.get("lexicon", {})
    if "folder" not in lexicon:
        return training
    return {**training, "lexicon": {**lexicon, "folder": Path(lexicon["folder"]).name}}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(f"cannot copy {source}: {error.strerror}") from error


def iter_source() -> Iterator[tuple[Path, str]]:
    """Yield the files of this package that training needs, with their names.

    It needs neither the embedded model nor the tables of terminologies, which travel compiled.
    """
    package = Path(__file__).resolve().parents[2]
    unneeded = ("data", "model"), ("data", "terminologies")
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package)
        if path.is_file() and "__pycache__" not in name.parts and name.parts[:2] not in unneeded:
            yield path, f"{package.name}/{name.as_posix()}"
