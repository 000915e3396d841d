"""What a transformer makes of a picture besides its embedding: patch tokens, attention maps.

`open_clip` keeps neither the attention weights nor, in `forward`, the tokens. Hooks take them from
the same forward pass (lesson 14).
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from cinv_lib.encoders.encoder import Encoder


class Features(NamedTuple):
    """What a transformer makes of B pictures in one forward pass, in float32 or better.

    embedding: the encoder's output, not normalised.
    patches: the P patch tokens of the last block after the tower's last layer norm. A tower that
        pools by "avg" projects their mean to the embedding; one that pools by "tok" leaves them.
    log_attention: of each layer that was asked for, log of the attention weights: head, query
        token, key token. The class token is the first of the T = P + 1.
    """

    embedding: Float[Tensor, "B d"]
    patches: Float[Tensor, "B P w"]
    log_attention: tuple[Float[Tensor, "B H T T"], ...]


def features(
    encoder: Encoder, x: Float[Tensor, "B 3 S S"], layers: Sequence[int] = (-1,)
) -> Features:
    """The embedding of x, and what lies before it, from one forward pass.

    Args:
        encoder: its image tower is open_clip's VisionTransformer.
        x: as `Encoder.forward` takes it.
        layers: the blocks whose attention is returned, from 0, or from the end as -1.

    Raises ValueError for a tower without such blocks, or a layer that it does not have.
    """
    tower = _transformer(encoder)
    blocks = tower.transformer.resblocks
    wrong = [layer for layer in layers if not -len(blocks) <= layer < len(blocks)]
    if wrong:
        raise ValueError(
            f"layer {wrong[0]}: {encoder.name} has {len(blocks)} blocks; expected "
            f"{-len(blocks)} to {len(blocks) - 1}"
        )
    asked = [blocks[layer].attn for layer in layers]
    seen: dict[nn.Module, Tensor] = {}

    def keep_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[module] = inputs[0]

    def keep_output(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        seen[module] = output

    with ExitStack() as hooks:
        made = [attn.register_forward_pre_hook(keep_input) for attn in asked]
        for hook in (*made, tower.ln_post.register_forward_hook(keep_output)):
            hooks.callback(hook.remove)
        embedding = encoder(x)
    # The maps are made here, not in the hooks: a light step computes a block twice, without them.
    with torch.autocast(x.device.type, enabled=False):
        return Features(
            _whole(embedding),
            _whole(seen[tower.ln_post])[:, 1:],
            tuple(log_attention(attn, seen[attn]) for attn in asked),
        )


def log_attention(
    attn: nn.MultiheadAttention, x: Float[Tensor, "B T w"]
) -> Float[Tensor, "B H T T"]:
    """Log of the weights with which the tokens x attend to each other: log softmax(q k^T / √w_h),
    where w_h = w / H is the width of a head. `attn` itself does not keep them."""
    bias = attn.in_proj_bias
    wq, wk, _ = attn.in_proj_weight.chunk(3)
    bq, bk, _ = (None, None, None) if bias is None else bias.chunk(3)
    heads = (len(x), -1, attn.num_heads, attn.head_dim)
    q, k = (F.linear(_whole(x), w, b).view(heads).transpose(1, 2) for w, b in ((wq, bq), (wk, bk)))
    return (q @ k.transpose(-2, -1) / math.sqrt(attn.head_dim)).log_softmax(-1)


def _transformer(encoder: Encoder) -> VisionTransformer:
    """The encoder's tower, if `features` can look into it."""
    tower = encoder.tower
    if (
        isinstance(tower, VisionTransformer)
        and all(
            isinstance(block.attn, nn.MultiheadAttention) for block in tower.transformer.resblocks
        )
        and tower.attn_pool is None
        and not tower.final_ln_after_pool
    ):
        return tower
    raise ValueError(
        f"{encoder.name} has a tower of the class {type(tower).__name__}; expected open_clip's "
        "VisionTransformer with blocks of nn.MultiheadAttention, whose tokens are normalised and "
        "then pooled, as in stickers-clip-vit: take such a teacher, or training.distill"
    )


def _whole(x: Tensor) -> Tensor:
    """In float32, where a network computed in bfloat16; float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
