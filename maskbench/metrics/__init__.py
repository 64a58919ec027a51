"""What a trained model is worth: figures of gold tokens, of translations, of what alterations cost, and of attention."""

from maskbench.metrics.meters import METERS, Meter, measure
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.sentences import ADDITIVE, sentence_parts
from maskbench.metrics.translation import translate_first

__all__ = ["ADDITIVE", "METERS", "Meter", "ModelOutputs", "measure", "sentence_parts", "translate_first"]
