"""An experiment that compares the baseline with itself: the same settings, other random streams.

The differences between such runs are noise. `maskbench.comparison.calibration` measures it.
"""

from __future__ import annotations

from maskbench.config.schema.experiment import ArmConfig, Experiment, PanelConfig
from maskbench.config.schema.names import MAX_NAME_LENGTH
from maskbench.errors import ConfigError

SUFFIX = "-calibrate"


def make_null_experiment(experiment: Experiment, twins: int = 1) -> Experiment:
    """Return the experiment that trains the baseline of every panel, and `twins` copies of it with other streams.

    A copy draws the initial weights, the order of the sentences, dropout and random masks from streams of its own. So it
    is what the baseline would have been with another seed, and any two runs of a panel differ by chance alone.

    Args:
        experiment: the loaded experiment.
        twins: at least 1.

    Raises:
        ConfigError: the experiment's name leaves no room for `-calibrate`.
    """
    name = f"{experiment.name}{SUFFIX}"
    if len(name) > MAX_NAME_LENGTH:
        raise ConfigError(
            f"the experiment's name {experiment.name!r} is too long: with {SUFFIX!r} behind it, it may have at most "
            f"{MAX_NAME_LENGTH} characters"
        )
    panels = tuple(_against_itself(panel, twins) for panel in experiment.panels)
    question = (
        f"How much do runs of {experiment.name} differ that differ in nothing but their random numbers?"
    )
    return experiment.model_copy(update={"name": name, "panels": panels, "retired": (), "question": question})


def _against_itself(panel: PanelConfig, twins: int) -> PanelConfig:
    (baseline,) = (arm for arm in panel.arms if arm.name == panel.baseline)
    copies = tuple(_twin(baseline, number) for number in range(1, twins + 1))
    return panel.model_copy(update={"arms": (baseline, *copies)})


def _twin(baseline: ArmConfig, number: int) -> ArmConfig:
    # Its folder and its streams must differ from those of the baseline, whatever the name of that is.
    name = f"twin-{number}" if baseline.name != f"twin-{number}" else f"other-{number}"
    streams = name if baseline.config.streams != name else f"{name}-streams"
    config = baseline.config.model_copy(update={"streams": streams})
    return ArmConfig(name=name, title=name, config=config, also_different=("streams",))
