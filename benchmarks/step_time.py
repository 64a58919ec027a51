"""Time one training step (forward, loss, backward, clipping, AdamW) of the two sizes performance is judged by.

    python benchmarks/step_time.py --size small --threads 1
    python benchmarks/step_time.py --size main --precision bfloat16 --threads 2

Batches are synthetic and the loss is a plain one over the real tokens, so the figures are the model's.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig
from maskbench.data.batches import Batch
from maskbench.masks.clock import Clock
from maskbench.masks.context import Sizes
from maskbench.masks.plan import MaskPlan
from maskbench.model import EncoderDecoder
from maskbench.model.initialise import initialise
from maskbench.training.environment import keep_freed_memory


@dataclass(frozen=True)
class Size:
    """A model and the batches it is timed on."""

    model: ModelConfig
    vocab: int
    sentences: int
    shortest: int
    longest: int
    warm_up: int
    steps: int


SIZES = {
    "small": Size(
        ModelConfig(d_model=64, n_heads=4, encoder_layers=2, decoder_layers=2, d_ff=256),
        400,
        64,
        8,
        11,
        20,
        200,
    ),
    "main": Size(
        ModelConfig(d_model=256, n_heads=8, encoder_layers=3, decoder_layers=3, d_ff=1024),
        8000,
        273,
        12,
        15,
        2,
        10,
    ),
    "main-long": Size(
        ModelConfig(d_model=256, n_heads=8, encoder_layers=3, decoder_layers=3, d_ff=1024),
        8000,
        170,
        18,
        24,
        2,
        10,
    ),
}


def padded(rows: int, lengths: Tensor, vocab: int) -> Tensor:
    """Return random ids with padding beyond the lengths."""
    ids = torch.randint(5, vocab, (rows, int(lengths.max())))
    return ids * (torch.arange(ids.shape[1]) < lengths[:, None])


def synthetic_batch(size: Size) -> Batch:
    """Return sentences of random words, with lengths drawn from the size's range."""
    src_lengths = torch.randint(size.shortest, size.longest + 1, (size.sentences,))
    tgt_lengths = torch.randint(size.shortest, size.longest + 1, (size.sentences,))
    tgt = padded(size.sentences, tgt_lengths, size.vocab)
    tgt_in = F.pad(tgt[:, :-1], (1, 0), value=1)
    examples = torch.arange(size.sentences)
    return Batch(
        examples, padded(size.sentences, src_lengths, size.vocab), src_lengths, tgt_in, tgt, tgt_lengths
    )


def build(size: Size) -> EncoderDecoder:
    """Return an initialised model without masks."""
    model = size.model
    sizes = Sizes(
        model.n_heads,
        model.d_model,
        model.encoder_layers,
        model.decoder_layers,
        size.vocab,
        64,
        lambda _: None,
    )
    built = EncoderDecoder(model, MaskPlan([], seed=0, streams="a", sizes=sizes), size.vocab, 64)
    initialise(built, 0)
    return built


def step(model: EncoderDecoder, batch: Batch, optimiser: torch.optim.Optimizer, bfloat16: bool) -> None:
    """Train one step."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        hidden = model.hidden(batch, Clock("train", 1, 100))
        real = batch.tgt_out != 0
        logits = model.logits(hidden[real])
        loss = F.cross_entropy(logits.float(), batch.tgt_out[real])
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()


def main() -> None:
    """Print milliseconds per step and target tokens per second."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--plain-malloc", action="store_true", help="leave the C library's allocator as it is"
    )
    parser.add_argument("--profile", action="store_true", help="print where the time goes, by operation")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.plain_malloc:
        keep_freed_memory()
    torch.manual_seed(0)
    size = SIZES[options.size]
    model, batches = build(size).train(), [synthetic_batch(size) for _ in range(4)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    walls, cpus = [], []
    for i in range(size.warm_up + size.steps):
        wall, cpu = time.perf_counter(), time.process_time()
        step(model, batches[i % 4], optimiser, options.precision == "bfloat16")
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    # Processor time next to the clock's: on a shared machine the clock also counts the neighbours.
    seconds, busy = median(walls[size.warm_up :]), median(cpus[size.warm_up :])
    tokens = sum(int(batch.tgt_lengths.sum()) for batch in batches) / 4
    print(
        f"{options.size} {options.precision} threads={options.threads}: "
        f"{1e3 * seconds:.1f} ms/step (processor {1e3 * busy:.1f}), "
        f"{tokens / seconds:,.0f} target tokens/s ({tokens:.0f} tokens/step)"
    )
    if options.profile:
        with torch.profiler.profile() as profiler:
            for batch in batches:
                step(model, batch, optimiser, options.precision == "bfloat16")
        print(
            profiler.key_averages().table(
                sort_by="self_cpu_time_total", row_limit=28, max_name_column_width=48
            )
        )


if __name__ == "__main__":
    main()
