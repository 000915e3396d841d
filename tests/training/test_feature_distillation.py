"""Distillation of features: what each term measures, how hard it pulls, and that the training is
`distill` in all else."""

import math

import processes
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer

from cinv_lib import data, encoders, losses, operators, training
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.encoders.transformer_features import Features, features
from cinv_lib.training import feature_distillation as fd
from cinv_lib.training import history
from cinv_lib.training.feature_distillation import Alignment, distill_features
from cinv_lib.training.recipe import Recipe

MASK = operators.parse("mask:0.5")
ALL = Alignment(patches=1.3, attention=0.35, layers=(0, -1))


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 16, "lr": 1e-3, "precision": "fp32"} | changes)


def small(seed: int = 0) -> Encoder:
    """A transformer of two blocks for pictures of 16 px."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = VisionTransformer(16, 4, 16, 2, 2, 2.0, output_dim=8, pool_type="avg")
    return Encoder.wrap(tower, image_size=16, name="small transformer")


def trained(alignment, op=MASK, checkpoint=None, light=None, seed=0, **changes):
    return distill_features(
        small(), processes.small_pictures(), op, alignment, recipe(**changes), seed, checkpoint,
        progress=False, light=light,
    )  # fmt: skip


def same(a, b, atol=0.0):
    torch.testing.assert_close(a.state_dict(), b.state_dict(), atol=atol, rtol=0)


def some(generator, B=3, P=4, H=2, w=6, d=5) -> Features:
    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    T = P + 1
    maps = (randn(B, H, T, T).log_softmax(-1), randn(B, H, T, T).log_softmax(-1))
    return Features(randn(B, d), randn(B, P, w), maps)


# -- the loss ----------------------------------------------------------------------------------
def test_each_term_by_hand(generator):
    S, R = some(generator), some(generator)
    distance = (1 - F.cosine_similarity(S.embedding, R.embedding, dim=-1)).mean()
    patches = (1 - F.cosine_similarity(S.patches, R.patches, dim=-1)).mean()
    rows = [
        torch.distributions.kl_divergence(
            torch.distributions.Categorical(logits=r), torch.distributions.Categorical(logits=s)
        ).mean()
        for s, r in zip(S.log_attention, R.log_attention, strict=True)
    ]
    attention = sum(rows) / 2
    for weights, expected in (
        ((0.0, 0.0), distance),
        ((2.0, 0.0), distance + 2 * patches),
        ((0.0, 3.0), distance + 3 * attention),
        ((2.0, 3.0), distance + 2 * patches + 3 * attention),
    ):
        torch.testing.assert_close(Alignment(*weights)(S, R), expected)
    torch.testing.assert_close(fd.attention_distance(S.log_attention, R.log_attention), attention)


def test_gradients_are_those_of_finite_differences(generator):
    S, R = some(generator), some(generator)
    embedding, patches, logits = (
        part.clone().requires_grad_() for part in (S.embedding, S.patches, S.log_attention[0])
    )

    def loss(embedding, patches, logits):
        maps = (logits.log_softmax(-1), S.log_attention[1])
        return Alignment(2.0, 3.0)(Features(embedding, patches, maps), R)

    assert torch.autograd.gradcheck(loss, (embedding, patches, logits))
    assert torch.autograd.gradcheck(lambda p: fd.patch_distance(p, R.patches), (patches,))
    one = (logits.detach().clone().requires_grad_(),)
    distance = lambda a: fd.attention_distance((a.log_softmax(-1),), R.log_attention[:1])  # noqa: E731
    assert torch.autograd.gradcheck(distance, one)


def test_all_terms_are_0_with_a_gradient_of_0_where_s_is_r_on_equal_pictures():
    vit, x = encoders.load("stickers-clip-vit"), data.load("stickers-100", "val", n=1)
    x = x.images[:4].float() / 255
    S = features(vit, x, (0, 3))
    for term in (Alignment(), Alignment(5.0), Alignment(0.0, 5.0), Alignment(5.0, 5.0)):
        assert term(S, S).item() == pytest.approx(0, abs=1e-5)
    assert all(norm < 1e-4 for norm in fd.gradient_norms(vit, x, x).values())


def test_kl_is_the_one_that_r_weighs(generator):
    """Where R looks and S does not, it is large; the other way it is not."""
    looks, looks_not = torch.tensor([0.5, 0.5]).log(), torch.tensor([1 - 1e-6, 1e-6]).log()
    R, S = (row.view(1, 1, 1, 2).expand(1, 1, 2, 2) for row in (looks, looks_not))
    assert fd.attention_distance([S], [R]) > 6 > 1 > fd.attention_distance([R], [S])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"patches": -1.0}, r"Alignment\.patches is -1\.0; expected 0 or a positive number"),
        ({"attention": math.inf}, r"Alignment\.attention is inf"),
        ({"attention": math.nan}, r"Alignment\.attention is nan"),
        ({"attention": 1.0, "layers": ()}, r"Alignment\.layers is \(\); expected at least one"),
    ],
)
def test_other_weights_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Alignment(**settings)


# -- how hard each term pulls ------------------------------------------------------------------
def test_the_norms_of_the_gradients_are_those_of_finite_differences(generator):
    """Along its gradient a term rises by the gradient's length."""
    teacher = small().double()
    x = torch.rand(4, 3, 16, 16, generator=generator, dtype=torch.float64)
    y = x * (torch.rand(4, 1, 16, 16, generator=generator) > 0.5)
    norms, R = fd.gradient_norms(teacher, x, y), features(teacher, x)
    terms = {
        "embedding": lambda S: losses.alignment(S.embedding, R.embedding),
        "patches": lambda S: fd.patch_distance(S.patches, R.patches),
        "attention": lambda S: fd.attention_distance(S.log_attention, R.log_attention),
    }
    assert norms.keys() == terms.keys()
    for name, term in terms.items():
        student = encoders.student_of(teacher)
        weights = [*student.tower.parameters()]
        found = torch.autograd.grad(term(features(student, y)), weights, allow_unused=True)
        step, ends = 1e-5, []
        for sign in (1, -2):
            for weight, part in zip(weights, found, strict=True):
                if part is not None:
                    weight.data += sign * step * part / norms[name]
            ends.append(term(features(student, y)).item())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(norms[name], rel=1e-5), name
        assert norms[name] > 1e-3
    assert all(weight.grad is None for weight in teacher.parameters())


@pytest.mark.parametrize("seed", [0, 1])
def test_the_embedded_transformers_weights_follow_the_rule(seed):
    """Each weighted term pulls within a factor of two as hard as the embedding's, at the start."""
    generator = torch.Generator().manual_seed(seed)
    vit, train = encoders.load("stickers-clip-vit"), data.load("stickers-100", "train", n=20)
    x = train.images[torch.randperm(len(train), generator=generator)[:64]].float() / 255
    y = operators.parse("mask:0.9")(x, generator)
    norms, weights = fd.gradient_norms(vit, x, y), fd.WITH_ATTENTION
    assert weights.patches == fd.WITH_PATCHES.patches and Alignment() == fd.EMBEDDING_ALONE
    for name, weight in (("patches", weights.patches), ("attention", weights.attention)):
        assert 0.5 < weight * norms[name] / norms["embedding"] < 2, name
    assert 10 * norms["attention"] > 20 * norms["embedding"], "a weight of 10 drowns the embedding"


# -- training ----------------------------------------------------------------------------------
@pytest.mark.parametrize("views", [{"flip": True, "crop": (0.5, 1.0)}, {}])
def test_with_weights_of_0_it_is_distillation_by_mse(views):
    """Bit for bit where R looks at each step's own view; else `distill` asks R once for all."""
    student, table = trained(Alignment(), **views)
    expected, history = training.distill(
        small(), processes.small_pictures(), MASK, losses.parse("mse"), recipe(**views), 0,
        progress=False,
    )  # fmt: skip
    same(student, expected, atol=0 if views else 1e-6)
    assert (table.loss - 1).tolist() == pytest.approx(history.loss.tolist(), abs=1e-6)
    start = small().state_dict()
    assert not torch.equal(start["_tower.proj"], expected.state_dict()["_tower.proj"])


def test_each_term_falls_where_it_is_learnt():
    """On the training pictures, under a fixed blur; each beside the embedding alone."""
    op, x = operators.parse("blur:2"), processes.small_pictures().images.float() / 255
    R, long = features(small(), x), {"epochs": 30, "lr": 3e-3}

    def distances(alignment):
        student, _ = trained(alignment, op=op, **long)
        with torch.no_grad():
            S = features(student.cpu(), op(x))
        maps = fd.attention_distance(S.log_attention, R.log_attention).item()
        return fd.patch_distance(S.patches, R.patches).item(), maps

    alone, patches, attention = map(
        distances, (Alignment(), Alignment(patches=5.0), Alignment(attention=50.0))
    )
    assert patches[0] < 0.8 * alone[0] and attention[1] < 0.8 * alone[1]


def test_the_teacher_is_not_touched_and_the_student_is_in_eval_mode():
    teacher = small().train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student, table = distill_features(
        teacher, processes.small_pictures(), MASK, ALL, recipe(), 0, progress=False
    )
    assert teacher.training and not student.training
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert table.columns.tolist()[:3] == ["epoch", "step", "loss"] and table.loss.notna().all()


def test_a_light_step_is_the_same_step():
    plain, light = (trained(ALL, light=on)[0] for on in (False, True))
    same(plain, light, atol=1e-6)


def test_resumed_is_undisturbed_and_another_alignment_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(history, "SAVE_SHARE", math.inf)
    path, add, steps = tmp_path / "c.pt", history.History.add, []

    def stop(self, *given, **more):
        add(self, *given, **more)
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(history.History, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            trained(ALL, checkpoint=path)
    resumed, table = trained(ALL, checkpoint=path)
    whole, expected = trained(ALL)
    same(resumed, whole)
    assert len(steps) == 4 and table.loss.tolist() == expected.loss.tolist() and len(table) == 6
    with pytest.raises(ValueError, match=r"alignment is Alignment\(patches=1\.3"):
        trained(Alignment(patches=2.0), checkpoint=path)


def test_a_tower_without_transformer_blocks_is_refused():
    for alignment in (Alignment(), ALL):
        with pytest.raises(ValueError, match="small has a tower of the class Sequential; expected"):
            distill_features(
                processes.small_encoder(), processes.small_pictures(), MASK, alignment, recipe(), 0
            )
