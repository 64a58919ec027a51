"""Models of transformers and x-transformers: those that hold are not accused, known defects are found again."""

from __future__ import annotations

import re

import pytest
import torch
from x_transformers import Decoder, Encoder, TransformerWrapper, XTransformer

from maskbench.errors import ConfigError
from maskbench.model_audit import audit_subject
from maskbench.model_audit.adapters import hugging_face, x_transformers
from maskbench.model_audit.target import load_target, subject_for

QUICK = [
    "causality",
    "truncation",
    "padding content",
    "padding amount",
    "alone",
    "cached decoding",
    "several tokens a step",
    "generation",
    "one function, many doors",
    "reach",
]


def broken(subject, proofs=None):
    return {f.proof: f for f in audit_subject(subject, proofs) if f.passed is False}


def checked(subject, proofs):
    return {f.proof for f in audit_subject(subject, proofs) if f.passed is not None}


@pytest.mark.parametrize(
    ("name", "subject_class"),
    [
        ("T5ForConditionalGeneration", hugging_face.Seq2SeqLanguageModel),
        ("MarianMTModel", hugging_face.Seq2SeqLanguageModel),
        ("GPT2LMHeadModel", hugging_face.CausalLanguageModel),
        ("LlamaForCausalLM", hugging_face.CausalLanguageModel),
        ("MambaForCausalLM", hugging_face.CausalLanguageModel),
        ("BertForMaskedLM", hugging_face.MaskedLanguageModel),
    ],
)
def test_a_model_of_transformers_that_holds_is_not_accused(name, subject_class):
    subject = load_target(f"hf:{name}")
    assert type(subject) is subject_class
    # Mamba's state takes one token at a time.
    proofs = [proof for proof in QUICK if not (name.startswith("Mamba") and proof == "several tokens a step")]
    assert broken(subject, proofs) == {}
    if subject_class is not hugging_face.MaskedLanguageModel:
        assert checked(subject, proofs) >= {"causality", "cached decoding", "generation", "reach"}


def test_prompts_padded_on_the_left_are_continued_by_a_causal_model():
    subject = load_target("hf:GPT2LMHeadModel")
    proofs = ["padding side", "prompts padded on the left"]
    assert broken(subject, proofs) == {} and checked(subject, proofs) == set(proofs)


def test_prophetnet_predicts_differently_when_the_target_is_cut():
    """Guards against transformers' ProphetNet: the length of the target moves earlier predictions."""
    found = broken(load_target("hf:ProphetNetForConditionalGeneration"), ["truncation"])
    assert re.search(
        r"cutting the target after \d+ tokens moves the prediction", found["truncation"].sentence
    )


def test_a_small_expert_capacity_makes_cached_decoding_another_model():
    sizes = {"num_sparse_encoder_layers": "1", "num_sparse_decoder_layers": "1", "num_experts": "2"}
    subject = load_target("hf:SwitchTransformersForConditionalGeneration", {**sizes, "expert_capacity": "1"})
    assert "cached decoding" in broken(subject, ["cached decoding"])


def test_settings_of_a_class_go_by_all_their_names():
    subject = load_target("hf:T5ForConditionalGeneration", {"d_model": "48", "num_layers": "1"})
    assert subject.module.config.d_model == 48 and len(subject.module.encoder.block) == 1
    with pytest.raises(ConfigError, match="has no setting 'd_modl'"):
        load_target("hf:T5ForConditionalGeneration", {"d_modl": "48"})
    with pytest.raises(ConfigError, match="no model class 'NoModel'"):
        load_target("hf:NoModel")


def test_a_saved_model_is_audited_from_its_folder(tmp_path):
    load_target("hf:GPT2LMHeadModel").module.save_pretrained(tmp_path)
    assert broken(load_target(str(tmp_path)), ["causality"]) == {}


def x_model(**options):
    sizes = {"num_tokens": 50, "depth": 2, "heads": 4, "max_seq_len": 40}
    both = {f"{side}_{key}": value for side in ("enc", "dec") for key, value in sizes.items()}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return XTransformer(dim=32, **both, **options).eval()


def test_an_encoder_decoder_of_x_transformers_holds():
    subject = subject_for(x_model())
    assert type(subject) is x_transformers.XEncoderDecoder
    assert broken(subject, QUICK) == {}


def test_shifted_tokens_of_x_transformers_read_source_padding_and_decode_differently():
    found = broken(subject_for(x_model(enc_shift_tokens=1, dec_shift_tokens=1)), QUICK)
    assert found.keys() >= {"padding content", "padding amount", "cached decoding"}
    assert found["padding content"].module.startswith("encoder.")


@pytest.mark.parametrize("layers", [Decoder, Encoder])
def test_a_wrapper_of_x_transformers_is_called_by_its_layers(layers):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = TransformerWrapper(
            num_tokens=50, max_seq_len=40, attn_layers=layers(dim=32, depth=2, heads=4)
        )
    subject = subject_for(module.eval())
    assert subject.kind == layers.__name__.lower()
    assert broken(subject, QUICK) == {}
