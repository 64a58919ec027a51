"""Metrics of a trained model: gold-token scores, translation scores, effects of altered sources, attention.

Importing this package registers the metrics without loading torch or sacrebleu. The import order below is
the order of metrics in lists and in the files of sentences.
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
