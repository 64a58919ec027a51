"""AdamW and its learning rate; all state is in named tensors, there is no scheduler.

The learning rate is a pure function of the step, so it is right after a resume. A checkpoint stores the
optimiser's state by parameter name, since an unnamed list of tensors could fit another model unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from maskbench.config.schema.experiment import TrainConfig
from maskbench.errors import RunDirectoryError
from maskbench.model.attention import Projection

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_BETAS = (0.9, 0.98)
"""AdamW's betas. 0.98 is from Vaswani et al. 2017; the usual 0.999 averages over too many steps for runs of
2,000 steps."""
_EPSILON = 1e-9


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the learning rate of update number `step`, counted from 0.

    It rises linearly from 0 to `lr` at update number `warmup_steps` (counted from 1); then it stays
    (`constant`) or falls with the inverse square root of the update number (Vaswani et al. 2017, section
    5.3).
    """
    update, warmup = step + 1, max(1, config.warmup_steps)
    if update <= warmup:
        return config.lr * update / warmup
    return config.lr * math.sqrt(warmup / update) if config.schedule == "inverse_sqrt" else config.lr


def decayed_names(model: nn.Module) -> set[str]:
    """Return the names of the parameters with weight decay: the matrices of the model's projections.

    Norms, biases, word and position tables, and all parameters of masks have none.
    """
    return {
        f"{owner}.{name}"
        for owner, module in model.named_modules()
        if isinstance(module, Projection) and not owner.startswith("masks.")
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim >= 2
    }


def build_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov and Hutter 2019) over all trained parameters of the model."""
    decays = decayed_names(model)
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = [
        {"params": [p for n, p in named.items() if n in decays], "weight_decay": config.weight_decay},
        {"params": [p for n, p in named.items() if n not in decays], "weight_decay": 0.0},
    ]
    # The fused version takes a third of the time of the other two, and still computes each element
    # separately.
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=config.lr, betas=_BETAS, eps=_EPSILON, fused=True
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of the next update to `value`."""
    for group in optimiser.param_groups:
        group["lr"] = value


def export_moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state: `exp_avg/<name>`, `exp_avg_sq/<name>`, `step/<name>`.

    A parameter that never had a gradient has no state.
    """
    return {
        f"{what}/{name}": optimiser.state[parameter][what]
        for name, parameter in model.named_parameters()
        if parameter in optimiser.state
        for what in _MOMENTS
    }


def restore_moments(
    model: nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Restore the optimiser's state from the tensors of `export_moments`.

    Raises:
        RunDirectoryError: the tensors belong to another model.
    """
    named = dict(model.named_parameters())
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        what, _, name = key.partition("/")
        by_name.setdefault(name, {})[what] = tensor
    for name, state in by_name.items():
        shape = named[name].shape if name in named else None
        if set(state) != set(_MOMENTS) or any(state[what].shape != shape for what in _MOMENTS[:2]):
            raise RunDirectoryError(f"the checkpoint's optimiser state does not fit this model at {name!r}")
        # Copy to the parameter's device: the memory of the file is not aligned and not owned by the
        # optimiser.
        parameter = named[name]
        optimiser.state[parameter] = {what: state[what].to(parameter.device, copy=True) for what in _MOMENTS}
