"""Tokens and attention maps are what the tower itself computes, from one forward pass."""

import pytest
import torch
from open_clip.transformer import VisionTransformer
from torch import nn

from cinv_lib import encoders
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.transformer_features import features, log_attention

EVERY = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def vit():
    return encoders.load("stickers-clip-vit")


@pytest.fixture
def x(generator):
    return torch.rand(3, 3, 64, 64, generator=generator)


def small(**settings) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shape = dict(patch_size=4, width=16, layers=2, heads=2, mlp_ratio=2.0, output_dim=8)
        return Encoder.wrap(VisionTransformer(16, **shape | settings), image_size=16)


def own_weights(encoder, x):
    """What each nn.MultiheadAttention says of itself when it is asked for its weights."""
    kept, hooks = [], []

    def ask(module, inputs):
        kept.append(own(module, inputs[0])[1])

    def own(module, q):
        return nn.MultiheadAttention.forward(
            module, q, q, q, need_weights=True, average_attn_weights=False
        )

    for block in encoder.tower.transformer.resblocks:
        hooks.append(block.attn.register_forward_pre_hook(ask))
    encoder(x)
    for hook in hooks:
        hook.remove()
    return kept


@torch.no_grad()
def test_attention_is_that_of_the_module_and_each_row_sums_to_one(vit, x):
    found = features(vit, x, EVERY).log_attention
    for made, expected in zip(found, own_weights(vit, x), strict=True):
        assert made.shape == (3, 2, 65, 65)
        torch.testing.assert_close(made.exp(), expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(made.exp().sum(-1), torch.ones(3, 2, 65))
    again = features(vit, x, (-1, 0)).log_attention
    assert torch.equal(again[0], found[3]) and torch.equal(again[1], found[0])
    assert (found[3].exp() - found[0].exp()).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_attention_with_and_without_a_bias(bias, generator):
    attn = nn.MultiheadAttention(12, 3, bias=bias, batch_first=True)
    if bias:
        nn.init.normal_(attn.in_proj_bias, generator=generator)
    x = torch.randn(2, 5, 12, generator=generator)
    expected = attn(x, x, x, average_attn_weights=False)[1]
    torch.testing.assert_close(log_attention(attn, x).exp(), expected)


@torch.no_grad()
def test_the_embedding_is_the_encoders_own_and_the_tokens_pool_to_it(vit, x):
    found = features(vit, x)
    assert torch.equal(found.embedding, vit(x))
    assert found.patches.shape == (3, 64, 128)
    pooled = found.patches.mean(1) @ vit.tower.proj
    torch.testing.assert_close(pooled, found.embedding, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_tokens_are_those_that_open_clip_puts_out(generator):
    """Of a tower that pools by the class token too, as OpenAI's."""
    encoder, x = small(), torch.rand(2, 3, 16, 16, generator=generator)
    found = features(encoder, x)
    encoder.tower.output_tokens = True
    embedding, tokens = encoder.tower((x - encoder.mean) / encoder.std)
    assert torch.equal(found.embedding, embedding) and torch.equal(found.patches, tokens)


def test_one_forward_pass_and_no_hook_left(vit, x):
    passes = []
    hook = vit.tower.register_forward_hook(lambda *_: passes.append(1))
    features(vit, x, EVERY)
    hook.remove()
    assert len(passes) == 1
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in vit.modules())
    with pytest.raises(ValueError, match="takes float pictures"):
        features(vit, x[..., ::2, ::2])
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in vit.modules())


def test_in_bfloat16_the_maps_are_made_in_float32(vit, x):
    with torch.autocast("cpu", torch.bfloat16):
        found = features(vit, x)
    assert {part.dtype for part in (*found[:2], *found.log_attention)} == {torch.float32}
    sums = found.log_attention[0].exp().sum(-1)
    torch.testing.assert_close(sums, torch.ones(3, 2, 65))


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: encoders.load("stickers-clip"),
        lambda: Encoder.wrap(nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), image_size=4),
        lambda: small(final_ln_after_pool=True),
        lambda: small(attentional_pool=True, attn_pooler_heads=2),
        lambda: small(block_type="custom"),
    ],
)
def test_a_tower_without_such_blocks_is_refused(encoder):
    made = encoder()
    x = torch.zeros(1, 3, made.image_size, made.image_size)
    with pytest.raises(ValueError, match=r"has a tower of the class \w+; expected open_clip's"):
        features(made, x)


def test_a_layer_that_is_not_there_is_refused(vit, x):
    for layer in (4, -5):
        with pytest.raises(ValueError, match=f"layer {layer}: .* has 4 blocks; expected -4 to 3"):
            features(vit, x, (0, layer))
