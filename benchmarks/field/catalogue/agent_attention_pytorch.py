"""agent-attention-pytorch: an encoder whose tokens exchange through a few agents."""

from __future__ import annotations

from benchmarks.field.entry import Entry, Package
from benchmarks.field.subjects import MaskedEncoder, WithWords
from maskbench.model_audit.subject import ModelSubject


def transformer() -> ModelSubject:
    """Return an `AgentTransformer` between a table of words and a head."""
    from agent_attention_pytorch import AgentTransformer

    return MaskedEncoder(
        WithWords(AgentTransformer(dim=32, num_agent_tokens=4, depth=2, heads=4, dim_head=8), 32)
    )


PACKAGE = Package(
    "agent-attention-pytorch",
    "0.1.7",
    "https://github.com/lucidrains/agent-attention-pytorch",
    entries=(Entry("AgentTransformer", "package", transformer),),
)
