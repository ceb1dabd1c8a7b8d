"""Torch's own transformer with the weights of one of ours, to compare the two."""

import torch
from torch import nn


def torch_transformer(encoder: nn.Module, activation: str = "relu") -> nn.Module:
    """In float64 and in training mode, whose slow path takes any mask; nothing is dropped.

    Args:
        encoder: with ``blocks`` of TransformerBlock and a ``norm`` after them.
        activation: of the feed-forward networks.
    """
    layer = nn.TransformerEncoderLayer(
        encoder.dim, encoder.heads, encoder.hidden, 0.0, activation, batch_first=True, norm_first=True
    )
    own = nn.TransformerEncoder(layer, encoder.layers, nn.LayerNorm(encoder.dim), enable_nested_tensor=False)
    own.double()
    own.norm.load_state_dict(encoder.norm.state_dict())
    for block, theirs in zip(encoder.blocks, own.layers, strict=True):
        theirs.norm1.load_state_dict(block.attention_norm.state_dict())
        theirs.norm2.load_state_dict(block.feed_norm.state_dict())
        theirs.self_attn.out_proj.load_state_dict(block.attended.state_dict())
        theirs.linear1.load_state_dict(block.feed_in.state_dict())
        theirs.linear2.load_state_dict(block.feed_out.state_dict())
        with torch.no_grad():
            theirs.self_attn.in_proj_weight.copy_(block.query_key_value.weight)
            theirs.self_attn.in_proj_bias.copy_(block.query_key_value.bias)
    return own.train()
