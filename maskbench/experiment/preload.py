"""What the fork server imports before it forks: everything that a run would else import for itself.

Imported by the fork server only. It may import but must run nothing: a thread pool or a lock that exists when a
process is forked is inherited dead.
"""

from __future__ import annotations

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import sacrebleu  # noqa: F401
import tensorboard.plugins.hparams.api_pb2
import tensorboard.summary.v1  # noqa: F401
import torch._inductor.config  # noqa: F401  torch.use_deterministic_algorithms imports it, which takes seconds

import maskbench.experiment.cost_probe
import maskbench.experiment.train_job  # noqa: F401
