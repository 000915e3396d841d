"""What is known before a training: promises, advice, batch norms, price, near copies."""

import processes
import pytest
import torch

from cinv_lib import encoders, operators
from cinv_lib.data import ImageSet, to_float
from cinv_lib.evaluation import beforehand
from cinv_lib.training.recipe import Recipe


def pictures(n, seed=0):
    x = torch.randint(0, 256, (n, 3, 64, 64), dtype=torch.uint8, generator=_generator(seed))
    return ImageSet(x, torch.zeros(n, dtype=torch.int64), ("one",), "noise", "made here")


def _generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("text", ["mask:0.5", "noise:0.5"])
def test_the_librarys_operators_keep_their_promises(text):
    apply = operators.parse(text).apply
    assert beforehand.contract(apply, torch.rand(4, 3, 16, 16)) == (True, True, True)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((98, 20, 54, 5), "train"),
        ((98, 20, 95, 5), "batch norms"),
        ((98, 94, 95, 5), "needless"),
        ((98, 93, 92, 5), "train"),  # five points are lost
        ((9, 2, 3, 5), "hopeless"),
        ((98, 2, 3, 5), "train"),  # that it fails on corrupted pictures is no reason against it
    ],
)
def test_advice(numbers, says):
    assert beforehand.advice(*numbers) == says and says in beforehand.ADVICE


def test_batch_norms_have_the_statistics_of_corrupted_pictures():
    R, op, images = encoders.load("stickers-clip"), operators.parse("noise:0.5"), pictures(64)
    before = {name: value.clone() for name, value in R.state_dict().items()}
    again = beforehand.batch_norms_again(R, images, op, seed=3)
    assert not again.training and not any(m.training for m in again.modules())
    assert all(torch.equal(before[name], value) for name, value in R.state_dict().items())
    changed = {
        name for name, value in again.state_dict().items() if not torch.equal(before[name], value)
    }
    assert changed and all("running" in n or "num_batches" in n for n in changed)
    # in one batch they are the batch's own, of what the first convolution makes of it
    generator = _generator(3)
    order = torch.randperm(64, generator=generator)
    seen = op(to_float(images.images[order]), generator)
    first = next(m for m in again.modules() if isinstance(m, torch.nn.BatchNorm2d))
    inputs = []
    hook = first.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    with torch.no_grad():
        again(seen)
    hook.remove()
    torch.testing.assert_close(first.running_mean, inputs[0].mean((0, 2, 3)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("n", "batches"), [(48, 1), (192, 3)])
def test_every_batch_norm_has_the_mean_and_variance_of_its_inputs_over_all_pictures(n, batches):
    """Of several batches the variance is the mean of theirs: their means differ by little."""
    R, inputs = processes.small_encoder(), {}
    R.tower[4] = torch.nn.Sequential(torch.nn.BatchNorm2d(12), torch.nn.ReLU())
    norms = {k: m for k, m in R.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    for name, norm in norms.items():
        inputs[name] = []
        norm.register_forward_pre_hook(lambda _, x, seen=inputs[name]: seen.append(x[0].clone()))
    op = operators.parse("mask:0.5")
    again = beforehand.batch_norms_again(R, processes.small_pictures(n), op, seed=3, most=n)
    assert len(norms) == 2
    for name, norm in again.named_modules():
        if name in norms:
            seen, every = inputs[name], torch.cat(inputs[name])
            assert (len(seen), len(every)) == (batches, n)
            torch.testing.assert_close(norm.running_mean, every.mean((0, 2, 3)))
            each = torch.stack([x.var((0, 2, 3)) for x in seen])
            torch.testing.assert_close(norm.running_var, each.mean(0))
            torch.testing.assert_close(norm.running_var, every.var((0, 2, 3)), rtol=0.05, atol=0)


def test_a_transformer_stays_as_it_was():
    R = encoders.load("stickers-clip-vit")
    again = beforehand.batch_norms_again(R, pictures(4), operators.parse("mask:0.5"))
    assert all(torch.equal(a, b) for a, b in zip(R.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(("n", "seen", "epochs"), [(640, 640, 5), (10_000, 3200, 1), (65, 65, 25)])
def test_a_training_of_few_steps_is_a_whole_one(n, seen, epochs):
    whole = Recipe(epochs=30, batch_size=64, lr=3e-3)
    few, short = beforehand.few_steps(pictures(n), whole, steps=50)
    assert (len(few), short.epochs, short.lr) == (seen, epochs, whole.lr)


def test_minutes_leave_the_first_steps_out():
    seconds = torch.cat([torch.full((10,), 100.0), torch.full((40,), 0.5)])
    assert beforehand.minutes(seconds, 3, 130, 64) == pytest.approx(9 * 0.5 / 60)


def test_a_copy_is_found_whatever_its_brightness():
    train, val = pictures(20), pictures(5, seed=1)
    copy = (train.images[:2].float() * 0.8 + 10).to(torch.uint8)
    both = ImageSet(
        torch.cat([val.images, copy]), torch.zeros(7, dtype=torch.int64), ("one",), "", ""
    )
    vectors = beforehand.thumbnails(train), beforehand.thumbnails(both)
    assert beforehand.near_copies(*vectors, 0.98).item() == pytest.approx(2 / 7)
    assert beforehand.near_copies(vectors[0], beforehand.thumbnails(val), 0.98).item() == 0


def test_memory_is_that_of_a_process_with_torch():
    assert 0.1 < beforehand.peak_memory() < 1000
