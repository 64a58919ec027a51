"""A model under audit: one small class per library tells the proofs how to call it.

A subclass of `ModelSubject` says how predictions are computed (`logits`), how they are computed token by token from a
cache (`step`), and where tokens become vectors (`embeddings`). Everything else has a default. What a subclass does not
offer is not proved, and the report says so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskbench.model_audit.door import Door
from maskbench.model_audit.inputs import Inputs, Side
from maskbench.model_audit.mode import EVALUATION, TRAINING, WITH_GRADIENTS, Mode

Kind = Literal["encoder-decoder", "decoder", "encoder", "layer"]
"""What is audited. An encoder's and a layer's predictions stand at the same positions as its inputs."""


def copied(module: nn.Module) -> nn.Module:
    """Return a copy of a module.

    Computed tensors, such as a weight of `torch.nn.utils.weight_norm`, refuse to be copied with their history.
    """
    computed = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(module, computed)


class ModelSubject:
    """A model, and how it is called."""

    kind: ClassVar[Kind]
    name: str
    module: nn.Module
    modes: Sequence[Mode] = (EVALUATION, WITH_GRADIENTS, TRAINING)
    """Modes in which passes of equal shapes are compared."""
    settled_modes: Sequence[Mode] = (EVALUATION,)
    """Modes without dropout, in which passes of different shapes are compared; the last one is the evaluation."""
    repeated: Mode = EVALUATION
    """A later evaluation, which must be the same."""
    follows_default_dtype: bool = True
    """Whether tensors that the module makes in a pass are to have the number format of its weights, as if it had been written
    for it."""
    enlargements: Sequence[float] = (10.0, 100.0, 1000.0)
    """Factors of `enlarge` that are tried."""

    def __init__(
        self,
        module: nn.Module,
        *,
        vocab_size: int,
        name: str | None = None,
        pad: int = 0,
        first_word: int = 4,
        max_length: int = 64,
        causal: bool | None = None,
        padding: Sequence[Side] | None = None,
        left_padding: bool = False,
        multiple: int = 1,
        may_read: Callable[[int], Bool[Tensor, "len len"]] | None = None,
    ) -> None:
        """Describe a model.

        Args:
            vocab_size: number of token ids.
            name: for the report; None: the class of the module.
            pad: id written into padding.
            first_word: the first id of an ordinary token; smaller ids are never changed into.
            max_length: longest sequence that the model takes.
            causal: whether a prediction promises not to read later target tokens; None: all kinds do but an encoder.
            padding: sides on which the model is told what is padding; None: all that it has.
            left_padding: whether padding may come before the tokens.
            multiple: every length must be a multiple of this.
            may_read: returns, for a length, True where the prediction at a row's position may read the target token at a
                column's, over all layers; such as `windowed` or `in_documents`. None: no structure is declared.

        Raises:
            TypeError: the module is none, or the class has no kind.
            ValueError: fewer than three ordinary tokens.
        """
        if vocab_size - first_word < 3:
            raise ValueError(
                f"{vocab_size} token ids of which ordinary ones begin at {first_word}: the proofs change tokens into "
                "others and need at least three ordinary ones; lower `first_word` if marks have other ids"
            )
        if not isinstance(module, nn.Module):
            raise TypeError(f"a model is a torch.nn.Module, not {type(module).__name__}")
        if getattr(self, "kind", None) not in get_args(Kind):
            raise TypeError(
                f'{type(self).__name__} has to say its kind, one of {", ".join(get_args(Kind))}: `kind = "decoder"`'
            )
        self.module, self.name = module, name or type(module).__name__
        self.pad, self.max_length, self.multiple = pad, max_length, multiple
        self.words = (first_word, vocab_size - first_word)
        """First id of an ordinary token, and how many there are."""
        self.causal = self.kind != "encoder" if causal is None else causal
        sides: tuple[Side, ...] = ("source", "target") if self.kind == "encoder-decoder" else ("target",)
        self.padding = frozenset(sides if padding is None else padding)
        self.left_padding = left_padding
        self.may_read = may_read
        self.test_inputs: Inputs | None = None
        """Inputs on which the proofs are made; None: sentences of different lengths that the audit makes."""
        self.call_note = ""
        """How the audit calls the model, for the report."""
        self.awakened: Sequence[str] = ()
        """Parameters that were 0 and have other values in this copy (`maskbench.model_audit.dormant`)."""
        self.unwrap_lines: Sequence[str] = ()
        """Python lines after which `model`, as it was built, is the module."""
        self.build_lines: Sequence[str] = ()
        """Python lines that build `model` without maskbench; none where that is not known."""

    def logits(self, inputs: Inputs) -> Float[Tensor, "batch len outputs"]:
        """Return the scores at every position of the target, computed in one pass."""
        raise NotImplementedError(f"{type(self).__name__} defines no `logits`")

    def outputs(self, inputs: Inputs) -> Float[Tensor, "batch len outputs"]:
        """Return all that a row alone must decide: the scores, and other numbers where the model has them, such as weights of
        its loss. They may depend on later tokens.
        """
        return self.logits(inputs)

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Float[Tensor, "batch new outputs"], Any]:
        """Return the scores of the target's positions from `start` on, computed from a cache, and the next state.

        Args:
            inputs: the whole target up to now; columns before `start` are in the cache.
            state: what the last step returned; None in the first one.
        """
        raise NotImplementedError

    def embeddings(self) -> Sequence[nn.Module] | Mapping[Side, Sequence[nn.Module]]:
        """Return the modules whose outputs `[batch len width]` are the vectors of tokens, one for each position.

        By side where each side has modules of its own; otherwise the length of an output tells its side.
        """
        return [m for m in self.module.modules() if isinstance(m, nn.Embedding) and self._is_of_words(m)]

    def _is_of_words(self, table: nn.Embedding) -> bool:
        return table.num_embeddings >= sum(self.words)

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor] | Door]:
        """Return other ways to compute `logits`, by name; all of them must give the same numbers.

        A function is compared with `logits`, a `Door` with what it names. One that raises is reported as not made.
        """
        return {}

    def idle_parts(self) -> Mapping[str, str]:
        """Return the submodules and parameters that plain calls do not run, by name, and what runs them."""
        return {}

    def generate(self, inputs: Inputs, count: int) -> Int[Tensor, "batch count"] | None:
        """Return `count` tokens that the library's own greedy generation appends to the target; None: it has none."""
        return None

    def implementations(self) -> Mapping[str, Callable[[], Self]]:
        """Return, by name, functions that build the same model with other kernels of attention."""
        return {}

    def call_lines(self) -> Sequence[str] | None:
        """Return Python lines that define `scores(target, target_real[, source, source_real])` for a model called `model`.

        They call the model as `logits` does, with torch and the model's library alone; None where that is not known.
        """
        return None

    def set_mode(self, mode: Mode) -> None:
        """Bring the module into a mode."""
        # Asking is cheaper than setting: the models of transformers have a slow `train`.
        if any(part.training != mode.training for part in self.module.modules()):
            self.module.train(mode.training)

    def enlarge(self, factor: float) -> None:
        """Multiply weights so that attention scores grow: all matrices but those of words, by which scores grow with the
        square of `factor`.
        """
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if parameter.ndim >= 2 and "embed" not in name:
                    parameter.mul_(factor)

    def rounding(self, largest: float, *, same_shape: bool) -> float | None:
        """Return how far rounding may move scores; None: as far as the narrowest number format in which a pass computes does.

        Args:
            largest: the largest absolute score.
            same_shape: whether both passes have the same shape, so that sums run in the same order.
        """
        return None

    def pass_bytes(self, inputs: Inputs, scores: Tensor) -> int:
        """Return about how many bytes a pass without gradients takes: six arrays of the size of its scores."""
        return 6 * scores.numel() * scores.itemsize

    @property
    def width_depends_on_rows(self) -> bool:
        """Whether other sentences in a batch change the number of columns that the model computes, and so the order of sums."""
        return False

    @property
    def has_outputs(self) -> bool:
        """Whether `outputs` are more than the scores."""
        return type(self).outputs is not ModelSubject.outputs

    @property
    def has_step(self) -> bool:
        """Whether `step` is there."""
        return type(self).step is not ModelSubject.step

    def with_module(self, module: nn.Module) -> Self:
        """Return this subject around another module of the same class."""
        other = copy.copy(self)
        other.module = module
        return other

    def converted(self, dtype: torch.dtype) -> Self:
        """Return this subject around a copy of its module in a number format, on the CPU, where the inputs are.

        Raises:
            ValueError: the module cannot be copied.
        """
        try:
            return self.with_module(copied(self.module).to("cpu", dtype))
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"{self.name} cannot be copied, and the proofs change copies of it: {error}"
            ) from error
