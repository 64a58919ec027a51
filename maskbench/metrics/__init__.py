"""What a trained model is worth: figures of gold tokens, of translations, of what alterations cost, and of attention.

Importing this package registers the metrics and loads neither torch nor sacrebleu. The order below is that of lists of
metrics, and of the entries in the files of sentences.
"""

# isort: off
import maskbench.metrics.likelihood
import maskbench.metrics.translation_scores
import maskbench.metrics.calibration
import maskbench.metrics.forced_gap
import maskbench.metrics.alterations
import maskbench.metrics.attention
import maskbench.metrics.alignment
import maskbench.metrics.effective_context  # noqa: F401
