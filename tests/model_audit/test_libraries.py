"""Models of transformers and x-transformers: those that hold are not accused, known defects are found again."""

from __future__ import annotations

import inspect
import re

import pytest
import torch
import transformers
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
    found = broken(load_target("hf:ProphetNetForConditionalGeneration"), ["truncation", "causality"])
    assert re.search(
        r"cutting the target after \d+ tokens moves the prediction", found["truncation"].sentence
    )
    # Two layers carry a later word as well, by less than a millionth.
    assert 0 < (found["causality"].answer.value or 0) < 1e-5
    assert found["truncation"].module == "prophetnet.decoder.layers.0.self_attn"
    assert found["causality"].module == "prophetnet.decoder.layers.1.self_attn"


def test_a_small_expert_capacity_makes_cached_decoding_another_model():
    sizes = {"num_sparse_encoder_layers": "1", "num_sparse_decoder_layers": "1", "num_experts": "2"}
    subject = load_target("hf:SwitchTransformersForConditionalGeneration", {**sizes, "expert_capacity": "1"})
    found = broken(subject, ["cached decoding"])
    assert found["cached decoding"].module == "decoder.block.1.layer.2.mlp"  # the sparse layer


@pytest.mark.parametrize("name", ["T5ForConditionalGeneration", "LlamaForCausalLM", "BertForMaskedLM"])
def test_all_doors_of_a_model_are_asked(name):
    subject = load_target(f"hf:{name}")
    (finding,) = audit_subject(subject, ["one function, many doors"])
    assert finding.passed and finding.not_made == ()
    assert subject.doors().keys() >= {"inputs_embeds", "labels", "gradient checkpointing"}


def test_a_door_that_a_model_does_not_have_is_said():
    (finding,) = audit_subject(load_target("hf:M2M100ForConditionalGeneration"), ["one function, many doors"])
    assert finding.passed
    assert "M2M100ForConditionalGeneration does not say how labels become decoder ids" in finding.not_made[0]


class UnshiftedLabels(transformers.T5ForConditionalGeneration):
    """The loss's labels are given to the decoder as they are."""

    def forward(self, labels=None, decoder_input_ids=None, **how):
        if labels is not None:
            decoder_input_ids = labels.clamp(min=0)
        return super().forward(decoder_input_ids=decoder_input_ids, **how)


class OtherOnTheWayBack(transformers.T5ForConditionalGeneration):
    """Checkpointed layers are followed by another head."""

    def forward(self, **how):
        out = super().forward(**how)
        if self.is_activation_checkpointing:
            out.logits = out.logits * 1.01
        return out


@pytest.mark.parametrize(
    ("broken_class", "door"), [(UnshiftedLabels, "labels"), (OtherOnTheWayBack, "gradient checkpointing")]
)
def test_a_fault_behind_one_door_is_found(broken_class, door):
    config = load_target("hf:T5ForConditionalGeneration").module.config
    with torch.random.fork_rng():
        torch.manual_seed(0)
        subject = subject_for(broken_class(config).eval())
    # A signature of its own hides which arguments the class takes.
    subject._takes = set(inspect.signature(transformers.T5ForConditionalGeneration.forward).parameters)
    (finding,) = audit_subject(subject, ["one function, many doors"])
    assert finding.passed is False and finding.sentence.startswith(f"{door}: scores differ")


def test_a_fill_of_float64_before_a_softmax_of_float32_is_no_fault():
    (finding,) = audit_subject(load_target("hf:BloomForCausalLM"), ["padding side"])
    # Computed in float64 as a whole, the fill of float64 overflows nothing.
    assert finding.passed and finding.dtype == "float64"


def test_a_hybrid_of_recurrence_and_attention_is_continued_from_prompts_padded_on_the_left():
    """The whole mask goes with every step: the attention needs to know what is padding in the cache."""
    subject = load_target("hf:NemotronHForCausalLM")
    proofs = ["cached decoding", "several tokens a step", "prompts padded on the left"]
    assert broken(subject, proofs) == {} and checked(subject, proofs) == set(proofs)


def test_parts_that_read_other_inputs_are_named_and_not_accused():
    (finding,) = audit_subject(load_target("hf:LEDForConditionalGeneration"), ["every part works"])
    assert finding.passed and "query_global" in finding.not_made[0]
    (finding,) = audit_subject(load_target("hf:BartForCausalLM"), ["every part works"])
    assert finding.passed and "runs for the output of an encoder" in finding.not_made[0]


def test_a_model_that_seeds_torch_by_itself_is_not_compared_in_training():
    """Reformer keeps seeds of its own for the layers that it computes again on the way back."""
    found = list(audit_subject(load_target("hf:ReformerForMaskedLM"), ["draws", "no trace", "batch mates"]))
    assert [f.passed for f in found] == [None, None, True]
    assert all("though all generators start at one seed" in " ".join(f.not_made) for f in found)


def test_what_a_class_does_not_promise_is_not_asked():
    assert not load_target("hf:BartForCausalLM").left_padding  # its positions count padding
    assert load_target("hf:RwkvForCausalLM").padding == frozenset()  # it says that it reads no mask
    assert load_target("hf:XLNetLMHeadModel").kind == "encoder"  # its attention goes both ways
    assert load_target("hf:ReformerModelWithLMHead").multiple == 4  # it trains on whole chunks


def test_configurations_within_a_configuration_are_made_small():
    for name in ("T5GemmaForConditionalGeneration", "EncoderDecoderModel"):
        module = load_target(f"hf:{name}").module
        assert sum(parameter.numel() for parameter in module.parameters()) < 200_000


@pytest.mark.parametrize(
    ("name", "proof", "words"),
    [
        ("MambaForCausalLM", "several tokens a step", "three tokens a step: from position 2 on"),
        ("RwkvForCausalLM", "generation", "less than the best of the whole pass"),
        ("FSMTForConditionalGeneration", "one function, many doors", "scores differ by"),
        ("YosoForMaskedLM", "padding content", "other words in target padding moves"),
    ],
)
def test_known_defects_of_transformers_are_found_again(name, proof, words):
    """Guards against what docs call judged: a state that is dropped, rows that mix, masks that are forgotten."""
    (finding,) = audit_subject(load_target(f"hf:{name}"), [proof])
    assert finding.passed is False and words in finding.sentence


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


def wrapped(layers=Decoder, options=None, **how):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        attention = layers(dim=32, depth=2, heads=4, **how)
        module = TransformerWrapper(num_tokens=50, max_seq_len=40, attn_layers=attention, **(options or {}))
    return subject_for(module.eval())


@pytest.mark.parametrize("option", ["attn_orthog_projected_values", "orthog_residual", "mv_split_residual"])
def test_projections_and_means_of_x_transformers_read_later_tokens(option):
    """Guards against x-transformers: `orthog_project` sums over positions, and the split residual takes their mean."""
    assert len(broken(wrapped(**{option: True}), ["causality", "truncation", "cached decoding"])) == 3


def test_layers_skipped_by_the_generator_of_python_are_no_leak():
    subject = wrapped(layer_dropout=0.5)
    proofs = ["causality", "batch mates", "training mode", "draws", "no trace"]
    assert broken(subject, proofs) == {}
    assert checked(subject, proofs) == {"causality", "batch mates", "draws", "no trace"}


def test_a_model_that_x_transformers_does_not_cache_is_not_stepped():
    assert wrapped().has_step
    assert not wrapped(options={"num_memory_tokens": 3}).has_step
    assert not wrapped(attn_selective=True).has_step
