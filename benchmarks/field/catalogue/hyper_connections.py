"""hyper-connections: several residual streams between the layers of a model."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from benchmarks.field.entry import Build, Entry, Package
from benchmarks.field.subjects import WORDS, MaskedDecoder
from maskbench.model_audit.subject import ModelSubject


class Attention(nn.Module):
    """Causal attention of torch, as a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(32), nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch's output."""
        x = self.norm(x)
        later = x.new_ones(x.shape[1], x.shape[1]).triu(1).bool()
        found: Tensor = self.attention(x, x, x, attn_mask=later, need_weights=False)[0]
        return found


class Streams(nn.Module):
    """Two branches of causal attention and two feed-forward ones, joined by what the package makes."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        connect, self.expand, self.reduce = made
        self.words, self.head = nn.Embedding(WORDS, 32), nn.Linear(32, WORDS)
        self.branches = nn.ModuleList()
        width = {"dim": 32}
        for _ in range(2):
            self.branches.append(connect(**width, branch=Attention()))
            feed_forward = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
            self.branches.append(connect(**width, branch=feed_forward))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the scores at every position."""
        x = self.expand(self.words(ids))
        for branch in self.branches:
            x = branch(x)
        scores: Tensor = self.head(self.reduce(x))
        return scores


def streams(manifold: bool = False, **options: Any) -> Build:
    """Return the build of a model of four residual streams."""

    def build() -> ModelSubject:
        import hyper_connections as package

        make = package.get_init_and_expand_reduce_stream_functions
        if manifold:
            make = package.mc_get_init_and_expand_reduce_stream_functions
        return MaskedDecoder(Streams(make(4, **options)), padding=())

    return build


PACKAGE = Package(
    "hyper-connections",
    "0.4.11",
    "https://github.com/lucidrains/hyper-connections",
    entries=(
        Entry("HyperConnections", "package", streams()),
        Entry("HyperConnections, fractions", "package", streams(num_fracs=2)),
        Entry("HyperConnections, stream embedding", "package", streams(dim=32, add_stream_embed=True)),
        Entry("ManifoldConstrainedHyperConnections", "package", streams(True)),
    ),
)
