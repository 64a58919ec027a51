"""What the audit lets pass, and by which proof it finds each kind of broken promise."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

import broken_strategies as broken
import jaxtyping
import pytest
import torch

import maskbench.masks  # noqa: F401  (fills the registry)
from maskbench.audit import Finding, audit, is_sound
from maskbench.audit.arm_model import ArmModel, inputs_of, make_model_case
from maskbench.audit.catalogue import list_names, make_catalogue_subject, make_catalogue_subjects
from maskbench.audit.proofs import paths
from maskbench.audit.proofs.registry import PROOFS, proofs_in_order
from maskbench.audit.proofs.support import jacobian
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import ATTENTION_SITES, PlacementConfig
from maskbench.masks.base import Strategy
from maskbench.masks.catalogue import example_arm
from maskbench.model_audit.changes import with_more_padding, with_other_mates, with_other_padding


def placed(site: str, mask: str, options: dict[str, Any] | None = None, **keys: Any) -> PlacementConfig:
    return PlacementConfig.model_validate({"site": site, "mask": mask, "options": options or {}, **keys})


def findings(*placements: PlacementConfig, proofs: Collection[str] = ()) -> list[Finding]:
    """What the named proofs say of an arm, or all of them."""
    chosen = [proof for proof in proofs_in_order() if not proofs or proof.name in proofs]
    assert len(chosen) >= len(proofs)
    return next(audit([make_catalogue_subject("trial", placements[0], placements[1:])], chosen))


def failed(found: list[Finding]) -> set[str]:
    return {finding.proof for finding in found if finding.passed is False}


def test_there_is_a_question_to_every_proof() -> None:
    assert len(PROOFS) > 15
    assert all(proof.question.endswith("?") for proof in PROOFS)


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("window", "decoder_self"),
        ("wait_k", "cross"),
        ("transform", "encoder_self"),
        ("topk", "cross"),
        ("tokens", "decoder_input"),
        ("loss_tokens", "loss"),
    ],
)
def test_safe_strategies_keep_every_promise(name: str, site: str) -> None:
    placement, *companions = example_arm(name, site)
    (found,) = audit([make_catalogue_subject(name, placement, companions)])
    assert not failed(found)
    hard = [f for f in found if f.proof in ("causality", "padding content", "batch mates", "support")]
    assert {f.dtype for f in hard} == {"float64", "bfloat16"}
    assert all(f.value == 0.0 for f in hard)


def test_wait_k_is_proved_to_reach_no_source_token_too_early() -> None:
    (waiting,) = make_catalogue_subjects(["wait_k"])
    case = AuditCase(waiting, torch.float64)
    blocks, source = jacobian(case, case.subject.train)
    n_rows, n_tgt, n_src = blocks["source"].shape
    for row in range(n_rows):
        for t in range(int(case.batch.tgt_lengths[row])):
            for s in range(int(case.batch.src_lengths[row])):
                # With k = 2 the prediction at t, counted from 0, has read the first t + 2 source tokens.
                assert bool(blocks["source"][row, t, s] != 0) == (s < t + 2)
    assert len(source.ids) == n_rows and n_tgt == case.batch.tgt_in.shape[1] and n_src == source.ids.shape[1]


@pytest.mark.parametrize("apply", ["raw", "multiply_scores"])
def test_ways_of_hiding_that_leak_are_found_by_perturbation(apply: str) -> None:
    arm = placed("decoder_self", "window", {"radius": 1}, apply=apply, unsafe=True)
    found = findings(arm, proofs=("causality", "support", "truncation"))
    causality = [f for f in found if f.proof == "causality"]
    assert len(causality) == 2 and all(f.passed is False and (f.value or 0) > 1e-3 for f in causality)
    assert {"support", "truncation"} <= failed(found)


def test_a_finite_fill_leaks_where_scores_are_large_and_only_there() -> None:
    found = findings(placed("decoder_self", "window", {"radius": 1}, apply="small_fill", unsafe=True))
    assert failed(found) == {"large scores"}
    assert all((f.value or 0) > 1e-3 for f in found if f.proof == "large scores")


def test_a_fill_next_to_nothing_leaks_at_any_scale() -> None:
    arm = placed("decoder_self", "window", {"radius": 1}, apply="small_fill", fill=-1e-12, unsafe=True)
    found = findings(arm, proofs=("causality", "support", "truncation"))
    assert failed(found) == {"causality", "support", "truncation"}
    assert all((f.value or 0) > 1e-3 for f in found if f.proof == "causality")


@pytest.mark.parametrize(
    ("site", "legality", "proof"),
    [("decoder_self", "no_causal", "causality"), ("cross", "no_padding", "padding content")],
)
def test_illegal_sight_is_found(site: str, legality: str, proof: str) -> None:
    found = findings(placed(site, "none", legality=legality, unsafe=True), proofs=(proof, "support"))
    named = [f for f in found if f.proof == proof]
    assert len(named) == 2 and all((f.value or 0) > 1e-3 for f in named)
    assert {proof, "support"} <= failed(found)


def test_renormalising_hides_up_to_rounding_and_agrees_with_hiding_before() -> None:
    found = findings(placed("decoder_self", "window", {"radius": 1}, apply="renormalise"))
    assert not failed(found)
    (agree,) = [f for f in found if f.proof == "hard and renormalise agree"]
    assert agree.passed and agree.value is not None and 0 < agree.value < 1e-6
    (exact,) = [f for f in found if f.proof == "causality" and f.dtype == "float64"]
    assert exact.limit == 1e-12


def test_a_map_that_has_nothing_to_map_is_said_to_learn_nothing() -> None:
    arm = placed("encoder_self", "transform", {"base": "zeros"})
    found = findings(arm, proofs=("learned parameters learn",))
    (learn,) = [f for f in found if f.proof == "learned parameters learn"]
    assert learn.passed is False and "transform-0.map" in learn.detail


@pytest.mark.parametrize(
    ("cls", "site", "proof"),
    [
        (broken.ReadsTargetLength, "decoder_self", "truncation"),
        (broken.SeesTheFuture, "decoder_self", "causality"),
        (broken.DrawsByRow, "encoder_self", "batch order"),
        (broken.DrawsByRow, "encoder_self", "alone"),
        (broken.HidesByPadding, "encoder_self", "padding amount"),
        (broken.RandomInEvaluation, "encoder_self", "evaluation repeats"),
        (broken.RandomInEvaluation, "decoder_self", "own randomness"),
        (broken.DrawsFromNumPy, "encoder_self", "own randomness"),
        (broken.DrawsFromPython, "cross", "own randomness"),
        (broken.SeedsItselfAnew, "decoder_self", "own randomness"),
        (broken.NeverDrawsAnew, "encoder_self", "draws"),
        (broken.WrongDensity, "encoder_self", "density"),
        (broken.NoIdentity, "encoder_self", "identity at the start"),
        (broken.DropsTheMaskWhenFast, "decoder_self", "causality"),
        (broken.SharpEdge, "decoder_self", "empty rows"),
        (broken.HalfRows, "cross", "rows sum to one"),
        (broken.NeedsTheCache, "decoder_self", "cached decoding"),
    ],
)
def test_a_broken_promise_is_found_by_its_proof(cls: type[Strategy], site: str, proof: str) -> None:
    with broken.registered("broken", cls):
        found = findings(placed(site, "broken"), proofs=(proof,))
    assert failed(found) == {proof}


def test_a_fast_path_that_drops_the_mask_is_found_in_the_format_that_takes_it() -> None:
    with broken.registered("broken", broken.DropsTheMaskWhenFast):
        found = findings(placed("decoder_self", "broken"), proofs=("causality", "hidden weights"))
    assert {f.dtype for f in found if f.proof == "causality" and f.passed is False} == {"bfloat16"}
    assert {f.dtype for f in found if f.proof == "hidden weights" and f.passed is False} == {"bfloat16"}


def test_a_mask_that_does_nothing_is_said_to_do_nothing() -> None:
    found = findings(placed("encoder_self", "window", {"radius": 20}))
    assert failed(found) == {"differs"}


def test_links_are_known_to_an_arm_that_decodes_from_the_start() -> None:
    (aligned,) = (one for one in make_catalogue_subjects(["align_window"]) if one.site == "cross")
    decoding = [
        proof for proof in proofs_in_order() if proof.name in ("cached decoding", "several tokens a step")
    ]
    (found,) = audit([aligned], decoding)
    assert [f.passed for f in found] == [True, True]


def test_dropout_is_left_out_where_other_sentences_change_the_width_of_a_batch() -> None:
    (infill,) = make_catalogue_subjects(["infill"])
    (found,) = audit([infill], [proof for proof in proofs_in_order() if proof.name == "batch mates"])
    assert [f.passed for f in found] == [True, True]


def test_a_pair_takes_more_memory_where_it_is_longer() -> None:
    case = AuditCase(make_catalogue_subject("trial", placed("cross", "window", {"radius": 1})), torch.float64)
    src, tgt = case.batch.src.shape[1], case.batch.tgt_in.shape[1]
    own, longer = case.bytes_of_pair(src, tgt), case.bytes_of_pair(src, 30 * max(src, tgt))
    # The weights of attention grow with the square of the length.
    assert 30 * own < longer < 900 * own
    # A pass holds all rows of the batch; its two scores are of no importance.
    model_case = make_model_case(case)
    inputs = model_case.inputs
    assert model_case.subject.pass_bytes(inputs, torch.zeros(2)) == len(case.batch.ids) * own


def test_a_batch_is_made_again_from_what_the_engine_was_given() -> None:
    case = AuditCase(make_catalogue_subject("trial", placed("cross", "window", {"radius": 1})), torch.float64)
    model, batch = ArmModel(case), case.batch
    inputs = inputs_of(batch)
    again = model.batch_of(inputs)
    assert batch.junk is not None and batch.links is not None
    for field in fields(batch):
        assert torch.equal(getattr(again, field.name), getattr(batch, field.name)), field.name
    other = model.batch_of(with_other_mates(inputs, 1, model.words))
    assert (other.ids == batch.ids).tolist() == [False, True, False]
    assert other.junk is not None and torch.equal(other.junk, batch.junk)
    # Words in padding are marked in every annotation; padding that is only longer is not.
    filled = model.batch_of(with_other_padding(inputs, "source", model.words))
    padding = torch.arange(batch.src.shape[1]) >= batch.src_lengths[:, None]
    assert filled.junk is not None and torch.equal(filled.junk, batch.junk | padding) and padding.any()
    wider = model.batch_of(with_more_padding(inputs, "source", 2, model.pad))
    assert wider.junk is not None and not wider.junk[:, -2:].any()
    assert wider.links is not None and wider.links.shape[2] == batch.links.shape[2] + 2


def test_torchs_generator_is_left_as_it_was() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    assert findings(placed("decoder_self", "none"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_the_whole_catalogue_keeps_every_promise() -> None:
    broken_ones = {
        (f.where, f.proof, f.dtype)
        for one in audit(make_catalogue_subjects(list_names()))
        for f in one
        if f.passed is False
    }
    assert not broken_ones


def test_dropout_in_blocks_does_not_depend_on_later_words_where_a_mask_reads_them() -> None:
    causality = [proof for proof in proofs_in_order() if proof.name == "causality"]
    subjects = [one for one in make_catalogue_subjects(["document"]) if one.site in ("cross", "decoder_self")]
    assert {one.site for one in subjects} == {"cross", "decoder_self"}
    assert all(one.model.dropout > 0 for one in subjects)
    for found in audit([replace(one, attention_paths=paths.BLOCKED) for one in subjects], causality):
        assert found and is_sound(found)


@pytest.mark.slow
def test_every_promise_is_kept_in_blocks() -> None:
    # The checker of shapes draws from Python's generator to look into lists of blocks, which a proof would notice.
    jaxtyping.config.update("jaxtyping_disable", True)
    subjects = (replace(one, attention_paths=paths.BLOCKED) for one in make_catalogue_subjects(list_names()))
    broken_ones = {
        (f.where, f.proof, f.dtype, f.detail)
        for one in audit(subject for subject in subjects if subject.site in ATTENTION_SITES)
        for f in one
        if f.passed is False
    }
    assert not broken_ones
