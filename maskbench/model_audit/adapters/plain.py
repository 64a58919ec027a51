"""Subjects for modules of the user's own: how they are called is read from their signature and tried on a few tokens."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from maskbench.model_audit.adapters.outputs import HINT, first_tensor, scores_for
from maskbench.model_audit.adapters.torch_modules import Layer, width_of
from maskbench.model_audit.generators import seeded
from maskbench.model_audit.inputs import Inputs, make_tokens
from maskbench.model_audit.subject import ModelSubject, copied

TARGETS = ("targets", "labels", "target")
"""Names of the argument with the tokens of a loss."""
OTHERWISE = ("mask", "position", "past", "cache", "state", "hidden", "segment", "type", "length")
"""Parts of the name of a second required argument that is no target."""
LENGTHS = (192, 128, 96, 64, 48, 32, 24, 16, 12, 11, 10, 9, 8, 7, 6, 5, 4)
"""Numbers of tokens that are tried, longest first."""
ROLES = {1: ("ids",), 2: ("source ids", "target ids")}


def subject_of(module: nn.Module, **further: Any) -> ModelSubject:
    """Return the subject of a module: it is called with token ids, or with vectors if it has no table of words and takes them.

    Raises:
        ValueError: it cannot be told how the module is called.
    """
    module = _unwrapped(module)
    arguments = _required(module)
    _materialise(module, len(arguments))
    if not _tables(module) and len(arguments) == 1 and (layer := _layer(module, further)) is not None:
        return layer
    kind = _kind(module, arguments)
    trial = _TrialCalls(module, len(arguments))
    given = {"vocab_size": trial.vocab_size, "max_length": trial.max_length, **further}
    if given.get("vocab_size") is None:
        raise ValueError(
            f"it cannot be told which token ids {type(module).__name__} reads; give vocab_size. {HINT}"
        )
    subject = kind(module, **{name: value for name, value in given.items() if value is not None})
    subject.call_note = _call_note(module, arguments, subject)
    return subject


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside one of `torch.compile` or of `DataParallel`."""
    inner = getattr(module, "_orig_mod", None)
    if inner is None and isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner = module.module
    return inner if isinstance(inner, nn.Module) else module


def _materialise(module: nn.Module, n_arguments: int) -> None:
    """Let lazy modules make their weights once, so that all copies have the same."""
    if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in module.parameters()):
        with torch.no_grad(), seeded(0):
            module(*(torch.zeros(1, 4, dtype=torch.long) for _ in range(n_arguments)))


def _tables(module: nn.Module) -> list[nn.Embedding]:
    return [part for part in module.modules() if isinstance(part, nn.Embedding)]


def _layer(module: nn.Module, further: Mapping[str, Any]) -> Layer | None:
    """Return the subject of a layer; None if the module does not take vectors."""
    if "width" not in further and width_of(module) is None:
        return None
    layer = Layer(module, **further)
    try:
        with torch.no_grad(), seeded(0):
            trial = layer.with_module(copied(layer.module).eval())
            trial.logits(_few(trial, 4))
    except Exception:  # whatever a module raises that reads ids
        return None
    layer.call_note = f"called with vectors [batch, length, {layer.width}]"
    return layer


def _few(subject: ModelSubject, length: int) -> Inputs:
    return Inputs(make_tokens((length,), subject.words, subject.pad, salt=0))


def _required(module: nn.Module) -> list[str]:
    """Return the names of the arguments that have to be given."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(module.forward).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        raise ValueError(
            f"forward of {type(module).__name__} takes *args, which does not tell how it is called. {HINT}"
        )
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is inspect.Parameter.KEYWORD_ONLY]
    if needed:
        raise ValueError(f"forward of {type(module).__name__} needs {', '.join(needed)}. {HINT}")
    return [p.name for p in parameters if p.default is p.empty and p.kind in kinds]


def _kind(module: nn.Module, arguments: Sequence[str]) -> Callable[..., ModelSubject]:
    if len(arguments) == 1:
        return PlainDecoder
    odd = len(arguments) == 2 and any(part in arguments[1].lower() for part in OTHERWISE)
    if len(arguments) == 2 and not odd:
        return PlainEncoderDecoder
    raise ValueError(
        f"forward of {type(module).__name__} has to be called with {', '.join(arguments) or 'nothing'}; what is known is one "
        f"argument (token ids), or two (source ids, target ids). {HINT}"
    )


class _TrialCalls:
    """What a few passes tell of a module that reads ids."""

    def __init__(self, module: nn.Module, n_arguments: int) -> None:
        self._module, self._n = copied(module).eval(), n_arguments
        self.vocab_size: int | None = None
        """Number of ids that all tables of words have; None if not even four tokens can be read."""
        self.max_length: int | None = None
        """Longest of `LENGTHS` that the module takes; None likewise."""
        scores = self._pass(4)
        if scores is None:
            # The first proof says what the module raises.
            tables = _tables(module)
            self.vocab_size = max((table.num_embeddings for table in tables), default=None)
            return
        self.vocab_size = min(self._words, default=scores.shape[-1])
        self.max_length = next((n for n in LENGTHS if self._pass(n) is not None), 4)

    def _pass(self, length: int) -> Tensor | None:
        """Return the scores of a row of `length` target tokens; None if the module raises."""
        target = (torch.arange(length) % 3)[None].contiguous()
        sequences = [target] if self._n == 1 else [(torch.arange(max(4, length - 1)) + 1)[None] % 3, target]
        self._words: list[int] = []
        """Numbers of ids of the tables that read the ids."""

        def note(table: nn.Module, inputs: tuple[Any, ...], _output: object) -> None:
            read = inputs[0] if inputs else None
            if isinstance(read, Tensor) and any(torch.equal(read.reshape(-1), ids[0]) for ids in sequences):
                assert isinstance(table, nn.Embedding)
                self._words.append(table.num_embeddings)

        handles = [table.register_forward_hook(note) for table in _tables(self._module)]
        try:
            with torch.no_grad(), seeded(0):
                return first_tensor(self._module(*sequences))
        except Exception:  # whatever a module raises at a length that it does not take
            return None
        finally:
            for handle in handles:
                handle.remove()


def _call_note(module: nn.Module, arguments: Sequence[str], subject: ModelSubject) -> str:
    """Return how the audit calls the module, and which optional arguments it leaves out."""
    optional = [
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if name not in (*arguments, *TARGETS) and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    said = f"called with {' and '.join(ROLES[len(arguments)])}, up to {subject.max_length} tokens"
    said += "; held to be causal" if subject.causal else ""
    return said + (f"; not passed: {', '.join(optional)}" if optional else "")


class PlainDecoder(ModelSubject):
    """A module that maps token ids `[batch len]` to scores `[batch len outputs]` and is not told what is padding."""

    kind = "decoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        super().__init__(module, **{"padding": (), **_first_word(further), **further})
        names = list(inspect.signature(module.forward).parameters)
        self._targets = next((n for n in names[1:] if n in TARGETS), None)
        self._needs_targets = False

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position."""
        ids = inputs.target.ids
        found = first_tensor(self.module(ids))
        if found.ndim == 3 and found.shape[1] != ids.shape[1] and self._targets is not None:
            # Some decoders compute the last position alone unless they get the targets of a loss.
            self._needs_targets = True
            found = first_tensor(self.module(ids, **{self._targets: ids}))
        return scores_for(ids, found)

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        further = f", {self._targets}=target" if self._needs_targets else ""
        return ("def scores(target, target_real):", f"    found = model(target{further})", FIRST_TENSOR)


FIRST_TENSOR = "    return found if isinstance(found, torch.Tensor) else found.logits if hasattr(found, 'logits') else found[0]"


class PlainEncoderDecoder(ModelSubject):
    """A module that maps source and target ids to scores `[batch tgt outputs]` and is not told what is padding."""

    kind = "encoder-decoder"

    def __init__(self, module: nn.Module, **further: Any) -> None:
        super().__init__(module, **{"padding": (), **_first_word(further), **further})

    def logits(self, inputs: Inputs) -> Tensor:
        """Return the scores at every position of the target."""
        ids = inputs.target.ids
        return scores_for(ids, first_tensor(self.module(inputs.of("source").ids, ids)))

    def call_lines(self) -> Sequence[str]:
        """Return the call of `logits`."""
        head = "def scores(target, target_real, source, source_real):"
        return (head, "    found = model(source, target)", FIRST_TENSOR)


def _first_word(further: Mapping[str, Any]) -> dict[str, int]:
    """Return a first ordinary id that leaves three of a small vocabulary."""
    return {"first_word": max(0, min(4, further["vocab_size"] - 3))} if "vocab_size" in further else {}
