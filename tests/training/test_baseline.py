import processes
import pytest
import torch
import torch.nn.functional as F

from cinv_lib import operators
from cinv_lib.training import baseline
from cinv_lib.training.baseline import Classifier, finetune
from cinv_lib.training.recipe import Recipe

IDENTITY = operators.Identity()


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 16, "lr": 0.01, "precision": "fp32"} | changes)


def test_learns_two_classes_from_corrupted_pictures():
    init, pictures = processes.small_encoder(), processes.small_pictures(96)
    model, history = finetune(
        init, pictures, operators.parse("mask:0.3"), recipe(epochs=12), 0, progress=False
    )
    test = processes.small_pictures(200, seed=9)
    with torch.no_grad():
        logits = model.cpu()(operators.parse("mask:0.3")(test.images.float() / 255))
    accuracy = float((logits.argmax(dim=1) == test.labels).float().mean())
    assert accuracy > 0.95
    assert history.loss.iloc[0] > 0.5 > 0.2 > history.loss.iloc[-3:].mean()
    assert not model.training


def test_the_loss_is_the_cross_entropy_of_the_corrupted_views():
    """First step by hand: a fixed blur, no batch norm, the head of this seed."""
    init, pictures, blur = (
        processes.small_encoder(norm=False),
        processes.small_pictures(12),
        "blur:1",
    )
    op = operators.parse(blur)
    _, history = finetune(init, pictures, op, recipe(epochs=1), 3, progress=False)
    model = Classifier(init, 2, seed=3)
    with torch.no_grad():
        expected = F.cross_entropy(model(op(pictures.images.float() / 255)), pictures.labels)
    assert history.loss.iloc[0] == pytest.approx(float(expected), rel=1e-4)


def test_init_is_not_touched_and_everything_visual_learns():
    init, pictures = processes.small_encoder(), processes.small_pictures()
    init.requires_grad_(False)  # as encoders are handed out frozen
    before = {name: value.clone() for name, value in init.state_dict().items()}
    model, _ = finetune(init, pictures, IDENTITY, recipe(), 0, progress=False)
    head = Classifier(init, 2, seed=0).head
    assert not torch.equal(model.head.weight.cpu(), head.weight)
    for name, value in model.encoder.cpu().state_dict().items():
        assert torch.equal(init.state_dict()[name], before[name]), name
        assert not torch.equal(value, before[name]), name


def test_the_head_starts_as_nn_linears_from_its_seed_alone():
    encoder = processes.small_encoder()
    state = torch.get_rng_state()
    heads = [Classifier(encoder, 500, seed).head for seed in (0, 0, 1)]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    reference = torch.nn.Linear(8, 500)
    for mine, theirs in zip(heads[0].parameters(), reference.parameters(), strict=True):
        assert float(mine.detach().abs().max()) == pytest.approx(8**-0.5, rel=0.02)
        assert float(mine.detach().std()) == pytest.approx(float(theirs.detach().std()), rel=0.1)


def test_number_of_classes():
    init, pictures = processes.small_encoder(), processes.small_pictures(8)
    model, _ = finetune(init, pictures, IDENTITY, recipe(epochs=1), 0, None, False, n_classes=7)
    assert model.cpu()(torch.rand(3, 3, 16, 16)).shape == (3, 7)
    with pytest.raises(ValueError, match=r"labels from 0 to 1; 1 classes need labels from 0 to 0"):
        finetune(init, pictures, IDENTITY, recipe(), 0, n_classes=1)


def test_checkpoint_resumes_the_head_too_and_is_not_a_students(tmp_path, monkeypatch):
    init, pictures, path = processes.small_encoder(), processes.small_pictures(), tmp_path / "c.pt"
    model, history = finetune(init, pictures, IDENTITY, recipe(), 0, path, False)
    monkeypatch.setattr(baseline.F, "cross_entropy", None)  # no step is needed any more
    again, same = finetune(init, pictures, IDENTITY, recipe(), 0, path, False)
    assert history.equals(same)
    torch.testing.assert_close(model.state_dict(), again.state_dict(), atol=0, rtol=0)
    with pytest.raises(ValueError, match=r"operator is identity there and noise:0\.5 here"):
        finetune(init, pictures, operators.parse("noise:0.5"), recipe(), 0, path, False)


def test_two_processes_train_as_one():
    results = processes.two_ranks()
    alone = results["alone"]["baseline"]["weights"]
    teacher = Classifier(processes.small_encoder(norm=False), 2, seed=0).state_dict()
    for rank in ("0", "1"):
        for name, weight in alone.items():
            moved = (weight - teacher[name]).abs().max()
            difference = (results[rank]["baseline"]["weights"][name] - weight).abs().max()
            assert difference < 1e-3 * moved, name
