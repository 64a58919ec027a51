"""In this folder every call is checked against its annotated shapes, unless a test is marked otherwise."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from maskbench.masks.context import AttentionDecision
from maskbench.masks.softmax import softmax
from maskbench.model.attention import attention_weights

DECISION = AttentionDecision(torch.ones(1, 1, 3, 5, dtype=torch.bool))


def test_a_tensor_with_an_axis_too_few_is_refused() -> None:
    with pytest.raises(TypeCheckError):
        attention_weights(torch.zeros(2, 3, 5), DECISION)


def test_a_tensor_of_another_type_is_refused_by_the_masks_too() -> None:
    with pytest.raises(TypeCheckError):
        softmax(torch.zeros(3, dtype=torch.int64))


@pytest.mark.shapes(checked=False)
def test_a_test_can_do_without() -> None:
    with pytest.raises(RuntimeError) as raised:
        softmax(torch.zeros(3, dtype=torch.int64))
    assert not isinstance(raised.value, TypeCheckError)
