"""The paper's backbones: sizes in closed form, and each class from adaptation to exact offsets, tiny."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    XLMRobertaConfig,
)

from architectures import (
    DEBERTA_V3,
    DOCUMENTS,
    SMALL,
    byte_tokenizer,
    make_backbone,
    make_passages,
    unigram_tokenizer,
)
from openmed_ner.bundle import Bundle
from openmed_ner.errors import BundleError, InputError, MissingExtraError, RecipeError
from openmed_ner.inference.backends import load_runtime
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model.architectures import ARCHITECTURES, check_fit, longest_input
from openmed_ner.model.backbones import BACKBONES, find_backbone
from openmed_ner.model.bundles import describe_backbone, load_model
from openmed_ner.model.lora import attach_lora
from openmed_ner.model.masked import load_masked
from openmed_ner.model.shapes import Shape
from openmed_ner.model.tagger import TokenTagger, count_parameters, keep_layers, load_encoder
from openmed_ner.storage import sha256_file
from openmed_ner.tagging import Head, SubwordTokenizer
from openmed_ner.text import iter_tokens
from openmed_ner.training.config import LoraSettings, PretrainRecipe, Schedule
from openmed_ner.training.export.quantise import quantise
from openmed_ner.training.export.runtime import export_runtime
from openmed_ner.training.finetune import finetune
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from openmed_ner.training.pretrain import pretrain
from pages import load_tool
from strategies import at_most
from tiny import make_recipe

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
V3 = {**DEBERTA_V3, "vocab_size": 128_100, "position_buckets": 256, "max_relative_positions": -1}
PUBLISHED: Mapping[str, Any] = {
    "minilm-l6": BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
    "mpnet-base": MPNetConfig(max_position_embeddings=514),
    "deberta-v3-small": DebertaV2Config(**{**V3, "hidden_size": 768, "num_hidden_layers": 6,
                                           "num_attention_heads": 12, "intermediate_size": 3072}),
    "deberta-v3-base": DebertaV2Config(**{**V3, "hidden_size": 768, "num_hidden_layers": 12,
                                          "num_attention_heads": 12, "intermediate_size": 3072}),
    "deberta-v3-large": DebertaV2Config(**V3, **LARGE),
    "pubmedbert-base": BertConfig(),
    "pubmedbert-large": BertConfig(**LARGE),
    "bioelectra-base": ElectraConfig(embedding_size=768, hidden_size=768, num_hidden_layers=12,
                                     num_attention_heads=12, intermediate_size=3072),
    "bioelectra-large": ElectraConfig(embedding_size=1024, **LARGE),
}  # fmt: skip
"""The configurations as they are published, where they differ from the defaults of transformers."""
CONFIGURATIONS: Mapping[str, Callable[[int], Any]] = {
    **{name: make_config for name, (_, make_config) in SMALL.items()},
    "distilbert": lambda size: DistilBertConfig(vocab_size=size, n_heads=2),
    "xlm-roberta": lambda size: XLMRobertaConfig(vocab_size=size, num_attention_heads=2),
}
PAPER = [name for name in BACKBONES if name.startswith(("deberta", "pubmedbert", "bioelectra"))]


def build(config: Any) -> Any:
    """An encoder of a configuration without its numbers, which would take gigabytes."""
    with torch.device("meta"):
        encoder = AutoModel.from_config(config, attn_implementation="eager")
    encoder.pooler = None
    return encoder


def count(model: torch.nn.Module) -> int:
    return count_parameters(model)[1]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if "large" in name else []) for name in BACKBONES]
)
def test_sizes_are_those_of_transformers_and_peft(name: str) -> None:
    config, shape = PUBLISHED[name], BACKBONES[name].shape
    assert Shape.from_config(config) == shape
    assert longest_input(config) == BACKBONES[name].longest
    assert count(build(config)) == shape.n_parameters
    for targets in ("query-value", "all-linear"):
        encoder = build(config)
        with torch.device("meta"):
            adapted = attach_lora(encoder, rank=16, alpha=32, dropout=0.0, targets=targets)
        assert count_parameters(adapted)[0] == shape.lora_parameters(16, targets)


@pytest.mark.parametrize("name", PAPER)
def test_under_one_and_a_half_per_cent_of_each_of_the_papers_backbones_is_trained(name: str) -> None:
    heads = [Head(str(number), ("A", "B")) for number in range(13)]
    encoder = build(PUBLISHED[name])
    with torch.device("meta"):
        encoder = attach_lora(encoder, rank=16, alpha=32, dropout=0.0, targets="query-value")
        trained, total = count_parameters(TokenTagger(encoder, heads))
    assert trained / total == BACKBONES[name].shape.trained_share(16, n_tags=5 * 13) < 0.015


@at_most(25)
@given(
    name=st.sampled_from(sorted(CONFIGURATIONS)),
    layers=st.integers(1, 3),
    width=st.integers(1, 4),
    intermediate=st.integers(1, 70),
    size=st.integers(3, 200),
    rank=st.integers(1, 9),
)
def test_the_closed_forms_hold_for_any_size(
    name: str, layers: int, width: int, intermediate: int, size: int, rank: int
) -> None:
    config = CONFIGURATIONS[name](size)
    sizes = {"num_hidden_layers": layers, "hidden_size": 8 * width}
    config.update({**sizes, "hidden_dim" if name == "distilbert" else "intermediate_size": intermediate})
    if name == "modernbert":
        config.layer_types = ["full_attention"] * layers
    shape, encoder = Shape.from_config(config), build(config)
    assert count(encoder) == shape.n_parameters
    with torch.device("meta"):
        adapted = attach_lora(encoder, rank=rank, alpha=1, dropout=0.0, targets="all-linear")
    assert count_parameters(adapted)[0] == shape.lora_parameters(rank, "all-linear")


def test_a_configuration_that_the_closed_form_misses_is_refused() -> None:
    for config in (
        AlbertConfig(),
        DebertaV2Config(relative_attention=True),
        DebertaV2Config(**V3, conv_kernel_size=3),
    ):
        with pytest.raises(InputError, match="not known"):
            Shape.from_config(config)


def count_flops(config: Any, window: int, trained: str) -> int:
    """What torch counts for a row, forward and back."""
    encoder = AutoModel.from_config(config, attn_implementation="eager").train()
    encoder.pooler = None
    if trained == "lora":
        encoder = attach_lora(encoder, rank=1, alpha=1, dropout=0.0, targets="query-value")
    ids = torch.full((1, window), 5)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(trained != "nothing"):
        states = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        if trained != "nothing":
            states.sum().backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("name", sorted({*SMALL} - {"deberta-first"}))
def test_arithmetic_is_what_torch_counts(name: str) -> None:
    window = 48
    config = SMALL[name][1](50)
    config.update({"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4})
    if name == "modernbert":
        config.layer_types = ["full_attention"] * 4
    shape = Shape.from_config(config)
    counted = {kind: count_flops(config, window, kind) for kind in ("nothing", "lora", "all")}
    once = 4 * 2 * 2 * shape.relative * shape.hidden**2 if name.startswith("deberta") else 0
    assert counted["nothing"] == shape.flops(window) * window + once
    for trained, share in (("all", 3), ("lora", 1)):  # the table of distances is frozen beneath an adapter
        expected = shape.flops(window, trained=trained) * window + share * once
        assert counted[trained] == pytest.approx(expected, rel=0.1 if trained == "lora" else 0.01)


WORDS = st.text("cisplatnaurd", min_size=1, max_size=9)
PARTS = st.lists(st.tuples(WORDS, st.sampled_from([" ", "\u00a0", "\n", "", "-", " ("])), max_size=8)
SPELLERS: Mapping[str, Tokenizer] = {
    "always": unigram_tokenizer("always"),
    "first": unigram_tokenizer("first"),
    "never": unigram_tokenizer("never"),
    "first, old": unigram_tokenizer("first", old=True),
    "always, old": unigram_tokenizer("always", old=True),
    "bytes": byte_tokenizer(),
    "bytes, blank": byte_tokenizer(add_prefix_space=True),
}


@given(parts=PARTS, name=st.sampled_from(sorted(SPELLERS)))
def test_subwords_spell_the_text_and_mark_only_its_blanks(parts: list[tuple[str, str]], name: str) -> None:
    """Whatever a tokenizer puts before a text, a word within "IL-2" is not marked as one after a blank."""
    text = "".join(word + between for word, between in parts).rstrip()
    tokenizer = SubwordTokenizer(Tokenizer.from_str(SPELLERS[name].to_str()))
    names = tokenizer.vocabulary
    blank = "Ġ" if name.startswith("bytes") else "▁"
    opens = name not in ("never", "bytes")
    for encoding in tokenizer.iter_encodings(text):
        pieces = [names[number] for number in encoding.ids]
        heads = np.cumsum(encoding.lengths) - encoding.lengths
        for start, end, head, length in zip(
            encoding.starts, encoding.ends, heads, encoding.lengths, strict=True
        ):
            marked = text[start - 1].isspace() if start else opens
            spelled = "".join(pieces[head : head + length])
            assert spelled.startswith(blank) == marked
            assert "[UNK]" in spelled or spelled.removeprefix(blank) == text[start:end]


@given(words=st.lists(WORDS, min_size=1, max_size=8), name=st.sampled_from(sorted(SPELLERS)))
def test_plain_words_are_cut_as_the_tokenizer_cuts_a_whole_text(words: list[str], name: str) -> None:
    if name == "first, old":  # it forgets every blank but the first, which no encoder was taught with
        return
    tokenizer = Tokenizer.from_str(SPELLERS[name].to_str())
    text = " ".join(words)
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    (encoding,) = SubwordTokenizer(tokenizer).iter_encodings(text)
    assert encoding.ids.tolist() == expected


@pytest.mark.parametrize("name", sorted(SPELLERS))
def test_a_tokenizer_survives_the_bundle(name: str) -> None:
    text = "Cisplatin (IL-2)\u00a0caused \ufb01brosis \U0001f600 \u200b."
    before = SubwordTokenizer(Tokenizer.from_str(SPELLERS[name].to_str()))
    after = SubwordTokenizer.from_json(before.to_json())
    (first,), (second,) = (list(tokenizer.iter_encodings(text)) for tokenizer in (before, after))
    assert first.ids.tolist() == second.ids.tolist()
    assert [(t.start, t.end) for t in iter_tokens(text)] == list(zip(first.starts, first.ends, strict=True))
    assert first.lengths.min() >= 1


def corpora() -> list[TrainingCorpus]:
    """One head per type, taught and tried on the same documents."""
    heads = {"diseases": "Disease", "chemicals": "Chemical"}
    built = []
    for corpus, label in heads.items():
        documents = tuple(
            entry.with_spans(span for span in entry.spans if span.label == label) for entry in DOCUMENTS
        )
        built.append(TrainingCorpus(Head(corpus, (label,)), documents, documents))
    return built


def fine_tune(backbone: Path, folder: Path) -> Bundle:
    """Adapt an encoder a little, then teach it the documents by heart."""
    adapted = pretrain(
        PretrainRecipe(
            backbone=str(backbone),
            subwords=600,
            head_subwords=300,
            window=40,
            held_out=3,
            lora=LoraSettings(rank=4, alpha=8.0, targets="query-value"),
            schedule=Schedule(epochs=1, patience=1, batch_subwords=160, learning_rate=1e-3, precision="fp32"),
        ),
        make_passages(backbone, folder / "passages"),
        folder / "adapted",
        name="adapted",
    )
    assert np.isfinite(adapted.read_json("run.json")["held_out"]["after"]["perplexity"])
    recipe = replace(make_recipe(backbone, epochs=60, patience=20), adapted=str(adapted.folder))
    return finetune(recipe, corpora(), folder / "run", name="tiny")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*SMALL} - {"deberta-first"}))
def test_from_adaptation_to_exact_offsets(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path))
    bundle = fine_tune(make_backbone(name, tmp_path / name), tmp_path)
    gold = {corpus.head.corpus: corpus.dev for corpus in corpora()}
    runtime = export_runtime(bundle, tmp_path / "out", precision="fp32", gold=gold, texts="documents")
    assert runtime.read_json("parity.json")["span_agreement"] == 1.0
    tagger = Tagger.load(runtime)
    for document in DOCUMENTS:
        result = {(span.start, span.end, span.label) for span in tagger(document.text).spans}
        assert result == {(span.start, span.end, span.label) for span in document.spans}
    content = runtime.read("model.onnx")
    model = load_model(bundle)
    for rows, length in ((1, 16), (3, 80)):
        ids = np.random.default_rng(0).integers(5, 60, (rows, length))
        mask = np.ones_like(ids)
        expected = model.run(ids, mask)
        np.testing.assert_allclose(load_runtime(content, "onnxruntime").run(ids, mask), expected, atol=1e-3)
        eight_bits = load_runtime(quantise(content), "onnxruntime").run(ids, mask)
        assert np.abs(eight_bits - expected).mean() < 0.1 * expected.std()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, entry in ARCHITECTURES.items() if entry.layers))
def test_a_model_keeps_the_layers_it_is_told_to(name: str) -> None:
    make_config = CONFIGURATIONS["deberta-always" if name == "deberta-v2" else name]
    encoder = AutoModel.from_config(make_config(60), attn_implementation="eager").eval()
    encoder.pooler = None
    shape = Shape.from_config(encoder.config)
    ids = torch.arange(6, 26)[None]
    whole = encoder(ids).last_hidden_state
    last = encoder.get_submodule(f"{ARCHITECTURES[name].layers}.{shape.layers - 1}")
    keep_layers(encoder, range(shape.layers))
    assert torch.equal(encoder(ids).last_hidden_state, whole)
    keep_layers(encoder, [shape.layers - 1])
    assert encoder.get_submodule(f"{ARCHITECTURES[name].layers}.0") is last
    assert count(encoder) == replace(shape, layers=1).n_parameters
    assert not torch.equal(encoder(ids).last_hidden_state, whole)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_smaller_model_is_the_same_after_saving_and_exporting(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path))
    backbone = make_backbone("bert", tmp_path / "bert")
    recipe = replace(make_recipe(backbone, epochs=40), layers=(1,), method=method)  # type: ignore[arg-type]
    bundle = finetune(recipe, corpora(), tmp_path / "run", name="small")
    assert (
        bundle.manifest.encoder_layers == (1,)
        and "of which layers 1 were kept" in bundle.read("README.md").decode()
    )
    model = load_model(bundle)
    assert model.encoder.config.num_hidden_layers == 1
    gold = {corpus.head.corpus: corpus.dev for corpus in corpora()}
    runtime = export_runtime(bundle, tmp_path / "out", precision="fp32", gold=gold, texts="documents")
    assert runtime.read_json("parity.json")["span_agreement"] == 1.0 and runtime.manifest.encoder_layers == (
        1,
    )
    score = bundle.read_json("run.json")["history"]["scores"][-1]["score"]
    assert score > 0.8, "it learns all the same"
    manifest = replace(bundle.manifest, encoder_layers=(7,))
    with pytest.raises(BundleError, match="there is no layer 7; the backbone has 0 to 1"):
        load_model(replace(bundle, manifest=manifest))


def test_layers_that_cannot_be_kept_are_named(tmp_path: Path) -> None:
    for layers in ((1, 0), (0, 0), (-1,)):
        with pytest.raises(RecipeError, match="numbers from 0 in ascending order"):
            replace(make_recipe(tmp_path), layers=layers)
    modern = make_backbone("modernbert", tmp_path / "modern")
    with pytest.raises(RecipeError, match="removing layers from 'modernbert' is not supported"):
        finetune(replace(make_recipe(modern), layers=(0,)), corpora(), tmp_path / "run", name="x")


def place(name: str, root: Path, config: Any) -> Path:
    """A folder that a row's files could lie in: as much of them as finding looks at."""
    folder = root / name
    config.save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(name.encode())
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def test_a_row_without_a_hash_takes_a_folder_of_its_shape_and_records_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path))
    folder = place("deberta-v3-base", tmp_path, PUBLISHED["deberta-v3-base"])
    assert find_backbone("deberta-v3-base") == folder
    reference = describe_backbone("deberta-v3-base", folder)
    assert reference.sha256 == sha256_file(folder / "model.safetensors")
    assert reference.hub_id == BACKBONES["deberta-v3-base"].hub_id
    place("deberta-v3-large", tmp_path, PUBLISHED["deberta-v3-base"])
    with pytest.raises(InputError, match="describes another encoder"):
        find_backbone("deberta-v3-large")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pubmedbert-base", "holds only pickled weights.*convert them elsewhere"),
        ("bioelectra-base", "no commit of kamalkraj/.* is pinned; name one"),
        ("bioelectra-large", "it has no public weights; place a folder named bioelectra-large"),
        ("owner/model@main", "a commit of 40 digits, since branches move"),
    ],
)
def test_what_cannot_be_fetched_says_why_before_asking_the_hub(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENMED_NER_BACKBONES", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    with pytest.raises(InputError, match=message):
        find_backbone(name)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = make_backbone("bert", tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"only safetensors weights are read\. docs/backbones\.md"):
        find_backbone(str(folder))


def test_a_tokenizer_is_made_from_words_and_kept(tmp_path: Path) -> None:
    folder = make_backbone("bert", tmp_path / "words")
    built = Tokenizer.from_file(str(folder / "tokenizer.json"))
    (folder / "tokenizer.json").unlink()
    words = sorted(built.get_vocab(), key=built.get_vocab().__getitem__)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    retained = (find_backbone(str(folder)) / "tokenizer.json").read_bytes()
    again = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [again.encode(entry.text).ids for entry in DOCUMENTS] == [
        built.encode(entry.text).ids for entry in DOCUMENTS
    ]
    (folder / "vocab.txt").unlink()
    assert (find_backbone(str(folder)) / "tokenizer.json").read_bytes() == retained
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"neither tokenizer\.json nor a vocabulary \(vocab\.txt"):
        find_backbone(str(folder))


def test_a_tokenizer_is_made_from_sentence_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = make_backbone("deberta-always", tmp_path / "pieces")
    (folder / "tokenizer.json").unlink()
    written = BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([entry.text for entry in DOCUMENTS] * 5),
        model_writer=written,
        vocab_size=60,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "spm.model").write_bytes(written.getvalue())
    monkeypatch.setattr("openmed_ner.model.backbones.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="sentencepiece"):
        find_backbone(str(folder))
    monkeypatch.undo()
    tokenizer = SubwordTokenizer.from_json((find_backbone(str(folder)) / "tokenizer.json").read_text("utf-8"))
    assert (tokenizer.padding, tokenizer.prefix, tokenizer.suffix, tokenizer.unknown) == (0, 1, 2, 3)
    assert tokenizer.vocabulary[tokenizer.mask] == "[MASK]"
    (encoding,) = tokenizer.iter_encodings("Cisplatin caused IL-2.")
    pieces = [tokenizer.vocabulary[number] for number in encoding.ids]
    assert "".join(pieces).count("▁") == 3
    (folder / "tokenizer.json").unlink()
    (folder / "spm.model").write_bytes(b"damaged")
    with pytest.raises(InputError, match="no tokenizer can be made"):
        find_backbone(str(folder))


@pytest.mark.parametrize("name", ["bert", "mpnet", "roberta", "modernbert"])
def test_an_encoder_reads_as_much_as_it_says(name: str, tmp_path: Path) -> None:
    encoder = load_encoder(make_backbone(name, tmp_path))
    longest = TokenTagger(encoder, [Head("a", ("A",))]).longest
    assert longest == 96
    assert encoder(input_ids=torch.full((1, longest), 5)).last_hidden_state.shape[1] == longest
    if ARCHITECTURES[name].counts_after_padding:
        with pytest.raises((IndexError, RuntimeError), match="out of"):
            encoder(input_ids=torch.full((1, longest + 1), 5))


@pytest.mark.parametrize("name", sorted({*SMALL} - {"deberta-first"}))
def test_dropout_is_set_and_attention_chosen(name: str, tmp_path: Path) -> None:
    make_backbone(name, tmp_path)
    ids = torch.randint(5, 60, (2, 20))
    with_dropout = load_encoder(tmp_path, dropout=0.5).train()
    assert not torch.equal(*(with_dropout(input_ids=ids).last_hidden_state for _ in range(2)))
    eager = load_encoder(tmp_path, dropout=0.0).train()
    assert torch.equal(*(eager(input_ids=ids).last_hidden_state for _ in range(2)))
    if "sdpa" not in ARCHITECTURES[eager.config.model_type].attentions:
        with pytest.raises(RecipeError, match="expected eager"):
            load_encoder(tmp_path, attention="sdpa")
        return
    fused = load_encoder(tmp_path, dropout=0.0, attention="sdpa")
    assert fused.config._attn_implementation == "sdpa"
    torch.testing.assert_close(*(entry(input_ids=ids).last_hidden_state for entry in (eager, fused)))


def test_an_unknown_architecture_takes_an_adapter_but_has_no_head(tmp_path: Path) -> None:
    config = AlbertConfig(vocab_size=50, embedding_size=8, hidden_size=16, num_hidden_layers=1,
                          num_attention_heads=2, intermediate_size=32)  # fmt: skip
    AutoModel.from_config(config).save_pretrained(tmp_path)
    adapted = attach_lora(load_encoder(tmp_path), rank=2, alpha=4, dropout=0.0, targets="all-linear")
    assert count_parameters(adapted)[0]
    with pytest.raises(RecipeError, match="all-linear"):
        attach_lora(load_encoder(tmp_path), rank=2, alpha=4, dropout=0.0, targets="query-value")
    with pytest.raises(InputError, match="'albert' is not known; known: bert"):
        load_masked(tmp_path)


def test_the_page_says_what_the_code_says() -> None:
    tool = load_tool("write_backbones")
    text = tool.PAGE.read_text(encoding="utf-8")
    assert len(tool.BLOCK.findall(text)) == len(tool.TABLES)
    assert tool.render(text) == text, "run python tools/write_backbones.py"


def test_what_does_not_fit_an_encoder_is_refused() -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    bert, deberta = (kind(max_position_embeddings=64, **small) for kind in (BertConfig, DebertaV2Config))
    for config in (bert, deberta):
        check_fit(config, backbone="it", window=64, precision="bf16")
        with pytest.raises(RecipeError, match="window = 65: it reads at most 64 subwords"):
            check_fit(config, backbone="it", window=65, precision="bf16")
    check_fit(bert, backbone="it", window=64, precision="fp16")
    with pytest.raises(RecipeError, match="it may overflow; expected bf16 or fp32"):
        check_fit(deberta, backbone="it", window=64, precision="fp16")
