"""Writes a script that shows a broken promise with the model's own library alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from maskbench.model_audit.case import SEED, ModelCase
from maskbench.model_audit.inputs import Inputs, PaddedTokens
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.proofs.registry import Change
from maskbench.model_audit.rounding import difference
from maskbench.model_audit.subject import ModelSubject

_SCRIPT = '''"""{title}"""

import torch

{build}

{call}

def tokens(rows, lengths):
    """Return ids and, True at tokens, what is no padding."""
    ids = torch.tensor(rows)
    return ids, torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]


{mode}
torch.manual_seed({seed})
before = scores({before})
torch.manual_seed({seed})
after = scores({after})
moved = (before[{row}, {position}] - after[{row}, {position}]).detach().abs().max().item()
print(f"{what} moves the prediction at {position} by {{moved:.3g}}; it must not (rounding: {limit:.1g})")
raise SystemExit(not moved <= {limit!r})
'''


def smallest_change(case: ModelCase, change: Change, limit: float) -> Change:
    """Return a change that shows the same with one row and as few columns as are tried: from the end, one by one."""
    best = change
    one = torch.tensor([change.row])
    alone = replace(change, before=change.before.rows(one), after=change.after.rows(one), row=0)
    if _moves(case, alone, limit):
        best = alone
    length, step = best.before.target.length, case.subject.multiple
    ends = range(length - step, best.position + 1, -step) if best.after.target.length == length else ()
    for end in ends:
        if best.before.source is not None and best.before.source.length in (end, 2 * end, 3 * end):
            # Source and target, and the streams of one, are told apart by their lengths.
            continue
        shorter = replace(best, before=_cut(best.before, end), after=_cut(best.after, end))
        if not bool(shorter.before.target.real.any(1).all()) or not _moves(case, shorter, limit):
            break
        best = shorter
    return best


def _cut(inputs: Inputs, end: int) -> Inputs:
    return inputs.change("target", inputs.target.columns(0, end))


def _moves(case: ModelCase, change: Change, limit: float) -> bool:
    """Whether a change moves its prediction; False also where the model cannot take inputs as small as these."""
    try:
        return moved_by(case, change) > limit
    except Exception:  # a model may raise at any shape
        return False


def moved_by(case: ModelCase, change: Change) -> float:
    """Return how far the change moves its prediction."""
    before, after = (case.scores(inputs, change.mode) for inputs in (change.before, change.after))
    place = change.row, change.position
    return difference(before[place], after[place])


def write_reproduction(
    subject: ModelSubject, change: Change, limit: float, sentence: str, dtype: str
) -> str | None:
    """Return the script; None where the model cannot be built or called without maskbench.

    Args:
        dtype: the number format in which the change was seen, such as "float64".
    """
    call, build = subject.call_lines(), subject.build_lines
    if call is None or not build or not (_is_right_padded(change.before) and _is_right_padded(change.after)):
        return None
    return _SCRIPT.format(
        title=sentence.replace('"""', "'''").replace("\\", "\\\\"),
        build="\n".join(build),
        call="\n".join(call),
        mode=_mode_lines(change.mode, dtype),
        seed=SEED,
        before=_arguments(change.before),
        after=_arguments(change.after),
        row=change.row,
        position=change.position,
        what=change.what,
        limit=limit,
    )


def _mode_lines(mode: Mode, dtype: str) -> str:
    """Return Python lines that bring the model into the mode and format in which the change was seen."""
    state = "model.train()" if mode.training else "model.eval()"
    return f"model.to(torch.{dtype})\n{state}\ntorch.set_grad_enabled({mode.gradients})"


def _is_right_padded(inputs: Inputs) -> bool:
    return all(
        torch.equal(
            inputs.of(side).real, torch.arange(inputs.of(side).length) < inputs.of(side).lengths[:, None]
        )
        for side in inputs.sides
    )


def _arguments(inputs: Inputs) -> str:
    def text(tokens: PaddedTokens) -> str:
        return f"*tokens({tokens.ids.tolist()}, {tokens.lengths.tolist()})"

    return ", ".join(text(inputs.of(side)) for side in inputs.sides)
