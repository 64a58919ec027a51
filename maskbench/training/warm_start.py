"""Start a run from the weights of another run, and train only some of them.

Weights are matched by name. All parameters outside masks must exist in both models with equal shapes, so that
no run starts from partly loaded weights. Masks may differ; a learned mask whose parameters are not in the
other run starts as the identity, so at step 0 the model equals that of the other run.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from maskbench.data.vocabulary import Vocabulary
from maskbench.errors import ConfigError
from maskbench.registry import did_you_mean
from maskbench.runs.checkpoint import verify_checkpoint
from maskbench.runs.starting_point import find_starting_point

_MASKS = "masks."
_SHOWN = 5


def vocabulary_sha256(vocabulary: Vocabulary) -> str:
    """Return the hash of a vocabulary, equal if and only if every id is the same token."""
    return hashlib.sha256(vocabulary.to_json().encode()).hexdigest()


def load_starting_weights(model: nn.Module, init_from: str, seed: int, vocabulary: Vocabulary) -> str:
    """Load the selected weights of a finished run into a new model, and return the hash of their checkpoint.

    Args:
        model: a model with its random initial weights, on any device.
        init_from: the folder of an arm or of a run (`maskbench.runs.starting_point`).
        seed: the seed of the run that starts.
        vocabulary: the vocabulary of the corpus it is trained on.

    Raises:
        ConfigError: there is no finished run, or it has another vocabulary or another model.
        RunDirectoryError: the checkpoint is damaged.
    """
    point = find_starting_point(init_from, seed)
    if point.vocabulary_sha256 is None:
        raise ConfigError(
            f"{point.run.path} did not record its vocabulary, so nobody can tell whether its words are these; "
            "train it again with this version"
        )
    if point.vocabulary_sha256 != vocabulary_sha256(vocabulary):
        raise ConfigError(
            f"{point.run.path} was trained with another vocabulary: its ids stand for other words than those of this "
            "corpus"
        )
    load_weights_by_name(model, verify_checkpoint(point.checkpoint).read_model(), str(point.run.path))
    return point.sha256


def load_weights_by_name(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Copy weights into a model by name; those of masks only if name and shape match.

    Raises:
        ConfigError: parameters outside masks differ; the message names up to five of them.
    """
    own = model.state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    wanted = {name: list(tensor.shape) for name, tensor in own.items()}
    backbone = [name for name in {**wanted, **shapes} if not name.startswith(_MASKS)]
    differing = [
        f"{name} ({_shape(shapes.get(name))} there, {_shape(wanted.get(name))} here)"
        for name in backbone
        if shapes.get(name) != wanted.get(name)
    ]
    if differing:
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise ConfigError(
            f"{origin} holds another model than this arm's; it differs in {', '.join(differing[:_SHOWN])}{more}"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            if shapes.get(name) == wanted[name]:
                tensor.copy_(weights[name])


def _shape(shape: list[int] | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape)) or "a number"


def freeze_all_but(model: nn.Module, patterns: Sequence[str]) -> None:
    """Freeze all parameters except those whose name matches a pattern.

    Args:
        model: the model of a run; a parameter shared by two modules has the name of the first.
        patterns: file-name patterns with `*`, `?` and `[...]`, such as `decoder.*`.

    Raises:
        ConfigError: a pattern matches no parameter.
    """
    named = dict(model.named_parameters())
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in named):
            tops = sorted({name.partition(".")[0] for name in named})
            hint = did_you_mean(pattern.lower(), [*(f"{top}.*" for top in tops), *named])
            raise ConfigError(f"{pattern!r} fits no parameter{hint} (they begin with {', '.join(tops)})")
    for name, parameter in named.items():
        parameter.requires_grad_(any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))
