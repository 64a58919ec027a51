"""compressive-transformer-pytorch: a Transformer-XL whose old memories are compressed."""

from __future__ import annotations

from benchmarks.field.entry import Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder
from maskbench.model_audit.subject import ModelSubject


class FirstSegment(MaskedDecoder):
    """A model at its first segment, where no memory is old enough to be compressed."""

    def idle_parts(self) -> dict[str, str]:
        """Name the compression."""
        return {
            name: "segments after the memory is full"
            for name, _ in self.module.named_modules()
            if name.endswith("compress_mem_fn")
        }


def transformer() -> ModelSubject:
    """Return a `CompressiveTransformer` that reads one segment."""
    from compressive_transformer_pytorch import CompressiveTransformer

    model = CompressiveTransformer(num_tokens=WORDS, dim=32, seq_len=24, mem_len=24, depth=2, heads=4)
    return FirstSegment(model, max_length=24)


PACKAGE = Package(
    "compressive-transformer-pytorch",
    "0.4.0",
    "https://github.com/lucidrains/compressive-transformer-pytorch",
    entries=(Entry("CompressiveTransformer", "package", transformer),),
)
