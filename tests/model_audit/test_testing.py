"""The assertions for other people's tests."""

from __future__ import annotations

import subprocess
import sys

import pytest
from controls import control

from maskbench.testing import assert_cache_exact, assert_causal, assert_padding_invariant, audit_model


def test_a_sound_model_passes_all():
    model = control()
    assert_causal(model)
    assert_padding_invariant(model)
    assert_cache_exact(model)


@pytest.mark.parametrize(
    ("assertion", "fault", "words"),
    [
        (
            assert_causal,
            "causal mask shifted",
            "moves the prediction at 0 by",
        ),
        (assert_causal, "only itself", "reach"),
        (assert_padding_invariant, "source mask forgotten", "reads padding:\n  padding content"),
        (assert_cache_exact, "cache forgets", "decodes differently with its cache"),
    ],
)
def test_a_broken_model_fails_and_the_message_says_what_is_broken(assertion, fault, words):
    with pytest.raises(AssertionError) as raised:
        assertion(control(fault))
    assert words in str(raised.value)


def test_an_assertion_that_could_not_check_anything_fails():
    subject = control(source=False)
    subject.padding = frozenset()
    with pytest.raises(AssertionError, match="no check could be made: the audit does not tell"):
        assert_padding_invariant(subject)


def test_an_unknown_proof_is_refused():
    with pytest.raises(ValueError, match="no proof is called 'futur'"):
        audit_model(control(), ["futur"])


def test_importing_it_loads_nothing_heavy():
    heavy = (
        "transformers",
        "x_transformers",
        "pydantic",
        "rich",
        "typer",
        "tokenizers",
        "scipy",
        "matplotlib",
        "tensorboard",
    )
    code = f"import sys, maskbench.testing; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
