"""Layout of TensorBoard's custom scalars page: bands over seeds, and the means of all arms in one chart.

TensorBoard finds the layout under a special tag in any run, and reads a chart's tags from every selected
run. A margin chart names three tags and draws a line with a band for every run that has them, here one for
each arm; a multi-line chart names regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from typing import Any

from maskbench.config.schema.experiment import Experiment
from maskbench.tensorboard.events import SummaryValue, make_tensor
from maskbench.tensorboard.means import HIGHEST, LOWEST, MEAN

_ALWAYS = ("valid/nll", "valid/token_accuracy", "train/nll")
_MASKS = "mask/"


def select_charted_tags(experiment: Experiment, logged: Iterable[str]) -> list[str]:
    """Return the tags that get a chart: the compared metric, checkpoint selection metrics, loss and accuracy.

    Args:
        logged: all tags that at least one run logged.
    """
    picks = (arm.config.train.select for panel in experiment.panels for arm in panel.arms)
    wanted = dict.fromkeys((experiment.compare.metric, *picks, *_ALWAYS))
    there = set(logged)
    return [tag for tag in wanted if tag in there]


def list_mask_groups(logged: Iterable[str]) -> list[str]:
    """Return the tag prefixes of mask statistics, such as `mask/ratio/`; each gets one chart."""
    parts = (tag.split("/") for tag in logged if tag.startswith(_MASKS))
    return sorted({f"{_MASKS}{part[1]}/" for part in parts if len(part) > 2})


def make_layout(experiment: Experiment, logged: Sequence[str], over_time: Set[str]) -> SummaryValue:
    """Return the entry with the layout for an experiment.

    Args:
        logged: all tags that at least one run logged.
        over_time: tags that were logged at more than one step; only these get bands.
    """
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    tags, masks = select_charted_tags(experiment, logged), list_mask_groups(logged)
    bands = [_chart(tag, margin=_band(tag)) for tag in tags if tag in over_time]
    means = [_chart(tag, multiline=_lines(f"^{MEAN}/{re.escape(tag)}$")) for tag in tags]
    means += [_chart(group.rstrip("/"), multiline=_lines(f"^{MEAN}/{re.escape(group)}")) for group in masks]
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(title="arms: mean, lowest and highest seed", chart=bands),
            layout_pb2.Category(title="arms: mean over seeds", chart=means),
        ]
    )
    packed = layout.SerializeToString(deterministic=True)
    return make_tensor(metadata.CONFIG_SUMMARY_TAG, [packed], metadata.create_summary_metadata())


def _chart(title: str, **content: Any) -> Any:
    from tensorboard.plugins.custom_scalar.layout_pb2 import Chart

    return Chart(title=title, **content)


def _band(tag: str) -> Any:
    from tensorboard.plugins.custom_scalar.layout_pb2 import MarginChartContent

    series = MarginChartContent.Series(
        value=f"{MEAN}/{tag}", lower=f"{LOWEST}/{tag}", upper=f"{HIGHEST}/{tag}"
    )
    return MarginChartContent(series=[series])


def _lines(pattern: str) -> Any:
    from tensorboard.plugins.custom_scalar.layout_pb2 import MultilineChartContent

    return MultilineChartContent(tag=[pattern])
