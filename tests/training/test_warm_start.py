"""Going on from a trained model, a published graph among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from architectures import SMALL, make_backbone
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.record import training_splits
from openmed_ner.cli import train as command
from openmed_ner.cli.app import app
from openmed_ner.data import read_examples
from openmed_ner.errors import BundleError, InputError, RecipeError, RunError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.model.bundles import describe_backbone, find_origin, load_model, make_reader, merge_adapter
from openmed_ner.model.onnx_weights import read_weights
from openmed_ner.model.tagger import TokenTagger, load_encoder
from openmed_ner.publish.cards.energy import find_steps
from openmed_ner.tagging import Head, predict
from openmed_ner.training.averaging import average_bundles
from openmed_ner.training.config import Recipe
from openmed_ner.training.export.onnx import export_onnx
from openmed_ner.training.export.quantise import BLOCK, quantise
from openmed_ner.training.export.runtime import export_runtime
from openmed_ner.training.finetune import build_model, finetune
from openmed_ner.training.warm_start import open_start, open_trained
from tiny import CORPORA, make_recipe

HEADS = tuple(corpus.head for corpus in CORPORA)
OTHER = Head("genes", ("Gene",))


def make_full(backbone: Path, start: Bundle, **schedule: object) -> Recipe:
    return replace(make_recipe(backbone, **schedule), method="full", start=str(start.folder))


def start_from(bundle: Bundle, backbone: Path, heads: tuple[Head, ...], **settings: object) -> TokenTagger:
    recipe = replace(make_full(backbone, bundle), **settings)  # type: ignore[arg-type]
    start = open_start(recipe, describe_backbone(str(backbone), backbone))
    return build_model(recipe, backbone, heads, start=start).eval()


def answers(model: TokenTagger) -> np.ndarray:
    ids = np.arange(5, 25).reshape(2, 10)
    return model.run(ids, np.ones_like(ids))


@pytest.fixture(scope="module")
def published(full_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The fully trained model as a graph in fp32."""
    target = tmp_path_factory.mktemp("published") / "tiny"
    return export_runtime(full_bundle, target, precision="fp32", gold={}, texts="none")


@pytest.mark.slow
def test_an_exported_graph_gives_its_weights_back(full_bundle: Bundle, published: Bundle) -> None:
    expected, weights = load_model(full_bundle).state_dict(), load_model(published).state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SMALL)
def test_every_kind_of_encoder_with_biases_comes_back(kind: str, tmp_path: Path) -> None:
    model = TokenTagger(load_encoder(make_backbone(kind, tmp_path / kind)), HEADS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # the exporter keeps one of constants that are equal
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    expected, weights = model.state_dict(), read_weights(export_onnx(model))
    missing = {name for name in expected if name not in weights}
    assert bool(missing) is (kind == "modernbert"), "its linear layers have no biases"
    assert weights.keys() <= expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


@pytest.mark.slow
def test_int8_weights_come_back_as_they_were_rounded(full_bundle: Bundle) -> None:
    """The heads exactly, linear layers to within one of 127 steps up to a block's largest weight."""
    model = load_model(full_bundle)
    exact, rounded = model.state_dict(), read_weights(quantise(export_onnx(model)))
    assert set(exact) == set(rounded)
    linear = {name for name in exact if ".layer." in name and name.endswith(".weight")}
    linear -= {name for name in exact if "LayerNorm" in name}
    assert {name for name in exact if not torch.equal(exact[name], rounded[name])} == linear
    for name in linear:
        for left, right in zip(exact[name].split(BLOCK, 1), rounded[name].split(BLOCK, 1), strict=True):
            assert ((left - right).abs() <= left.abs().amax(1, keepdim=True) / 127).all(), name


@pytest.mark.slow
def test_scales_fixed_beforehand_leave_no_weights_to_go_on_from(published: Bundle) -> None:
    static = replace(
        published, manifest=replace(published.manifest, precision="int8-static", backend="openvino")
    )
    with pytest.raises(BundleError, match="int8-static for OpenVINO, and its weights cannot be read back"):
        load_model(static)


@pytest.mark.parametrize(
    "kind", ["adapter_bundle", "full_bundle", pytest.param("published", marks=pytest.mark.slow)]
)
def test_known_heads_go_on_and_others_begin_fresh(
    kind: str, backbone: Path, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(kind)
    reference = merge_adapter(load_model(bundle))
    diseases, chemicals = answers(reference)[..., :3], answers(reference)[..., 3:]
    logits = answers(start_from(bundle, backbone, (HEADS[1], OTHER, HEADS[0])))
    np.testing.assert_array_equal(logits[..., :3], chemicals)
    np.testing.assert_array_equal(logits[..., 6:], diseases)
    drawn = [answers(start_from(bundle, backbone, (OTHER,), seed=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert abs(drawn[0] - drawn[2]).max() > 1e-3  # fresh
    renamed = replace(HEADS[0], labels=("Disorder",))
    assert abs(answers(start_from(bundle, backbone, (renamed,))) - diseases).max() > 1e-3


@pytest.mark.slow
def test_a_run_that_goes_on_knows_from_the_first_step_and_says_where_from(
    published: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = make_full(backbone, published, epochs=1, learning_rate=1e-6)
    bundle = finetune(recipe, CORPORA, tmp_path / "on", name="further")
    record = bundle.read_json("run.json")
    assert record["history"]["scores"][0] == {"diseases": 1.0, "chemicals": 1.0, "score": 1.0}
    assert record["recipe"]["start"] == record["start"]["name"] == "tiny"
    assert record["start"]["sha256"] == published.sha256 and "teacher" not in record
    assert [step.name for step in find_steps(record)] == ["fine-tuning of tiny", "fine-tuning"]
    assert record["start"]["energy"] == published.read_json("run.json")["energy"]
    card = bundle.read("README.md").decode()
    assert "It started from the weights of tiny." in card and str(published.folder) not in card
    fresh = finetune(replace(recipe, start=""), CORPORA, tmp_path / "fresh", name="fresh")
    assert fresh.read_json("run.json")["history"]["scores"][0]["score"] < 1.0


def test_a_smaller_model_goes_on_with_the_layers_it_has(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = replace(make_full(backbone, full_bundle, epochs=1), layers=(1,))
    small = finetune(recipe, CORPORA, tmp_path / "small", name="small")
    further = start_from(small, backbone, HEADS, layers=(1,))
    np.testing.assert_array_equal(answers(further), answers(load_model(small)))
    with pytest.raises(RecipeError, match=r"expected a bundle with all of them, or layers = \[1\]"):
        start_from(small, backbone, HEADS, layers=(0,))


@pytest.mark.slow
def test_a_soup_starts_from_the_mean_of_weights_and_names_every_model_once(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = make_full(backbone, full_bundle, epochs=1)
    other = finetune(replace(recipe, learn="train+dev"), CORPORA[::-1], tmp_path / "other", name="other")
    soup = replace(make_full(backbone, other), soup=(str(full_bundle.folder),))
    mean = build_model(
        soup, backbone, HEADS, start=open_start(soup, describe_backbone(str(backbone), backbone))
    ).state_dict()
    one = load_model(full_bundle).state_dict()
    two = start_from(other, backbone, HEADS).state_dict()
    assert mean.keys() == one.keys() == two.keys()
    for name in mean:
        torch.testing.assert_close(mean[name], (one[name] + two[name]) / 2)
    assert any(not torch.equal(one[name], two[name]) for name in one)

    bundle = finetune(replace(soup, schedule=recipe.schedule), CORPORA, tmp_path / "soup", name="soup")
    record = bundle.read_json("run.json")
    assert record["recipe"]["soup"] == ["tiny"]
    assert [origin["sha256"] for origin in record["start"]["soup"]] == [full_bundle.sha256]
    steps = ["fine-tuning of tiny", "fine-tuning of other", "fine-tuning"]
    assert [step.name for step in find_steps(record)] == steps, "tiny is an origin of both"
    assert "It started from the mean of the weights of other and tiny." in bundle.read("README.md").decode()
    stirred = replace(make_full(backbone, full_bundle, epochs=1), soup=(str(other.folder),))
    stirred_record = finetune(stirred, CORPORA, tmp_path / "stirred", name="stirred").read_json("run.json")
    assert training_splits(stirred_record) == training_splits(record) == ("train", "dev")


@pytest.mark.slow
def test_a_mean_of_bundles_is_a_bundle_that_names_them(
    full_bundle: Bundle, backbone: Path, tmp_path: Path
) -> None:
    recipe = make_full(backbone, full_bundle, epochs=1)
    other = finetune(replace(recipe, learn="train+dev"), CORPORA[::-1], tmp_path / "other", name="other")
    bundle = average_bundles([full_bundle, other, other], tmp_path / "mean")
    assert (bundle.manifest.name, bundle.manifest.heads) == ("mean", full_bundle.manifest.heads)

    weights, one = load_model(bundle).state_dict(), load_model(full_bundle).state_dict()
    two = start_from(other, backbone, HEADS).state_dict()
    for name in weights:
        torch.testing.assert_close(weights[name], (one[name] + 2 * two[name]) / 3)

    record = bundle.read_json("run.json")
    assert [(model["sha256"], model["share"]) for model in record["averaged"]] == [(other.sha256, 2 / 3)]
    assert training_splits(record) == ("train", "dev") and training_splits({}) == ("train",)
    steps = ["fine-tuning of other", "fine-tuning"]
    assert [step.name for step in find_steps(record)] == steps, "other started from the first"
    assert "the mean of this run's (33%) and those of other (67%)." in bundle.read("README.md").decode()

    further = finetune(make_full(backbone, bundle, epochs=1), CORPORA, tmp_path / "on", name="on")
    assert [step.name for step in find_steps(further.read_json("run.json"))][-2:] == [
        "fine-tuning of mean",
        "fine-tuning",
    ]


def test_averages_that_cannot_be(full_bundle: Bundle, adapter_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        average_bundles([full_bundle], tmp_path / "mean")
    with pytest.raises(BundleError, match="is of the kind adapter: only full bundles"):
        average_bundles([full_bundle, adapter_bundle], tmp_path / "mean")
    mean = average_bundles([full_bundle, full_bundle], tmp_path / "mean")
    np.testing.assert_array_equal(answers(load_model(mean)), answers(load_model(full_bundle)))
    energy = full_bundle.read_json("run.json")["energy"]
    assert [step.kwh for step in find_steps(mean.read_json("run.json"))] == [energy["kwh"]], "counted once"
    with pytest.raises(InputError, match="is a mean already"):
        average_bundles([mean, full_bundle], tmp_path / "again")
    with pytest.raises(RunError, match="already exists"):
        average_bundles([full_bundle, full_bundle], tmp_path / "mean")


def test_what_is_averaged_has_to_be_alike(full_bundle: Bundle, backbone: Path, tmp_path: Path) -> None:
    recipe = make_full(backbone, full_bundle, epochs=1)
    with pytest.raises(RecipeError, match=r"soup = \('a',\): expected no bundles, since no start is named"):
        replace(recipe, start="", soup=("a",))
    alone = finetune(recipe, CORPORA[:1], tmp_path / "alone", name="alone")
    with pytest.raises(RecipeError, match="alone/bundle has other heads or layers than"):
        open_start(replace(recipe, soup=(str(alone.folder),)), describe_backbone(str(backbone), backbone))
    with pytest.raises(BundleError, match="nowhere"):
        open_start(
            replace(recipe, soup=(str(tmp_path / "nowhere"),)), describe_backbone(str(backbone), backbone)
        )


def test_a_start_has_to_fit(full_bundle: Bundle, backbone: Path, tmp_path: Path) -> None:
    recipe = make_full(backbone, full_bundle)
    with pytest.raises(RecipeError, match="method = 'lora': expected full, since a start is named"):
        replace(recipe, method="lora")
    with pytest.raises(
        RecipeError, match="adapted = 'notes': expected no adapted encoder, since a start is named"
    ):
        replace(recipe, adapted="notes")
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(RecipeError, match=r"^start = '.*' was made from tiny, not from"):
        open_start(recipe, describe_backbone(str(tmp_path), tmp_path))
    with pytest.raises(BundleError, match="nowhere"):
        open_trained(str(tmp_path / "nowhere"))


@pytest.mark.slow
@pytest.mark.parametrize("start", ["embedded", "a folder"])
def test_one_option_goes_on_as_the_start_was_trained(
    start: str, published: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else the command line sets stands above; a recipe has to say all by itself."""
    with (tmp_path / "gold.jsonl").open("w") as file:
        write_jsonl(CORPORA[0].train, file)
    monkeypatch.setattr(command, "embedded_bundle", lambda: published.folder)
    place = start if start == "embedded" else str(published.folder)
    gold = str(tmp_path / "gold.jsonl")
    options = ["--data", gold, "--dev", gold, "--start", place, "--set", "schedule.epochs=1"]
    app(["train", *options, "--set", "overlap=8", "-o", str(tmp_path / "run")], standalone_mode=False)
    bundle = open_bundle(tmp_path / "run/bundle")
    recipe = bundle.read_json("run.json")["recipe"]
    assert (bundle.manifest.kind, bundle.manifest.window, bundle.manifest.overlap) == ("full", 80, 8)
    assert (recipe["start"], recipe["schedule"]["learning_rate"]) == ("tiny", 2e-4)
    (tmp_path / "recipe.toml").write_text('backbone = "tiny"\n')
    with pytest.raises(RecipeError, match="method = 'lora': expected full, since a start is named"):
        app(["train", *options, "--recipe", str(tmp_path / "recipe.toml"), "-o", "x"], standalone_mode=False)


@pytest.mark.slow
def test_the_embedded_model_is_loaded_without_its_backbone(
    tmp_path: Path, no_socket: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its weights are in the package, and the configuration follows from the table of backbones."""
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path))
    monkeypatch.setenv("OPENMED_NER_OFFLINE", "1")
    bundle = open_bundle(embedded_bundle())
    origin = find_origin(bundle.manifest.backbone.name, bundle)
    assert not isinstance(origin.encoder, Path) and origin.reference == bundle.manifest.backbone

    document = read_examples()[0].with_spans(())
    model, reader = load_model(bundle), make_reader(bundle)
    (by_torch,) = predict([document], run=model.run, reader=reader)
    by_graph = Tagger.load(bundle, threads=1, document_decoding=False)(document, layers=True)
    expected, actual = ({(*span.key, span.corpus) for span in one.spans} for one in (by_graph, by_torch))
    assert len(expected & actual) > 0.9 * len(expected | actual) > 5
