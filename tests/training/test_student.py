import copy
from pathlib import Path

import processes
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cinv_lib import encoders, losses, operators, training
from cinv_lib.data.image_files import ImageFiles
from cinv_lib.data.image_set import ImageSet
from cinv_lib.data.pairs import Pairs
from cinv_lib.data.preprocess import Preprocess
from cinv_lib.data.views import epoch_order, generator_of, random_flip
from cinv_lib.machine import hardware
from cinv_lib.training import checkpoint, feed, loop, order
from cinv_lib.training.recipe import Recipe
from cinv_lib.training.student import distill as train_student

ST = losses.parse("st:0.1")
MASK = operators.parse("mask:0.5")


def recipe(**changes):
    return Recipe(**{"epochs": 2, "batch_size": 16, "lr": 0.01, "precision": "fp32"} | changes)


def cosine(student, teacher, x, op):
    """Mean cosine of S(A(x)) and R(x)."""
    with torch.no_grad():
        s = student(op(x, torch.Generator().manual_seed(1)))
        return float(F.cosine_similarity(s, teacher(x), dim=1).mean())


def test_a_short_distillation_lowers_the_loss_and_raises_the_cosine():
    teacher, pictures = processes.small_encoder(), processes.small_pictures(96)
    x = pictures.images.float() / 255
    student, history = train_student(
        teacher, pictures, MASK, ST, recipe(epochs=20), 0, progress=False
    )
    student = student.cpu()
    first, last = (history[history.epoch == epoch].loss.mean() for epoch in (0, 19))
    assert last < first - 0.3
    before, after = (cosine(s, teacher, x, MASK) for s in (teacher, student))
    assert after > before + 0.05
    assert not student.training


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_within_a_reader_s_own_autocast_it_is_the_same_training(precision):
    """There PyTorch keeps bfloat16 copies of weights until the reader's block ends."""

    def trained():
        teacher, pictures = processes.small_encoder(), processes.small_pictures(32)
        how = recipe(precision=precision)
        return train_student(teacher, pictures, MASK, ST, how, 0, progress=False)[1].loss

    alone = trained()
    with torch.autocast("cpu", torch.bfloat16):
        within = trained()
    assert within.tolist() == alone.tolist()


def test_the_teacher_is_not_touched():
    """Bit for bit, buffers too; even one that is handed over in train mode is used in eval mode."""
    teacher = processes.small_encoder()
    reference, _ = train_student(
        teacher, processes.small_pictures(), MASK, ST, recipe(flip=True), 0, progress=False
    )
    teacher.train()
    before = copy.deepcopy(teacher.state_dict())
    student, _ = train_student(
        teacher, processes.small_pictures(), MASK, ST, recipe(flip=True), 0, progress=False
    )
    assert teacher.training and all(p.requires_grad for p in teacher.parameters())
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
        assert torch.equal(student.state_dict()[name], reference.state_dict()[name]), name
        assert not torch.equal(value, student.state_dict()[name].cpu()), name  # S did learn


def test_teacher_frozen_in_eval_mode_student_in_train_mode(monkeypatch):
    """While training, what R computes is what the eval-mode teacher computes, to the end."""
    teacher, pictures, seen = processes.small_encoder(), processes.small_pictures(), []
    x = pictures.images.float() / 255
    expected = teacher(x.contiguous(memory_format=torch.channels_last)).detach()

    def watched(self, S, R):
        assert S.requires_grad and not R.requires_grad
        assert S.dtype == R.dtype == torch.float32
        assert not torch.is_autocast_enabled(S.device.type)
        seen.append(R.cpu())
        return losses.alignment(S, R)

    monkeypatch.setattr(losses.Loss, "__call__", watched)
    monkeypatch.setattr(feed, "random_flip", lambda x, generator: x)
    monkeypatch.setattr(order, "epoch_order", lambda n, seed, epoch: torch.arange(n))
    for precision, tolerance in (("fp32", 1e-4), ("bf16", 3e-2)):
        for flip in (True, False):  # R in each step, or once for all
            seen.clear()
            train_student(
                teacher, pictures, MASK, ST, recipe(flip=flip, precision=precision), 0, None, False
            )
            assert len(seen) == 6
            for epoch in (0, 1):
                r = torch.cat(seen[3 * epoch : 3 * epoch + 3])
                torch.testing.assert_close(r, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("views", [{}, {"flip": True}, {"crop": (0.3, 1.0)}])
def test_student_and_teacher_see_the_same_view(views):
    """S starts as R. Without corruption or batch norm both must agree on every picture at once."""
    teacher = processes.small_encoder(norm=False)
    _, history = train_student(
        teacher,
        processes.small_pictures(),
        operators.Identity(),
        losses.parse("mse"),
        recipe(epochs=1, **views),
        seed=0,
        progress=False,
    )
    assert history.loss.iloc[0] == pytest.approx(-1.0, abs=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_raw_mse_is_fed_what_both_towers_give(flip):
    """First step by hand, without batch norm: torch's MSE of outputs that nobody normalised."""
    teacher, pictures = processes.small_encoder(norm=False), processes.small_pictures(12)
    op, loss = operators.parse("blur:1"), losses.parse("raw_mse")
    made = recipe(epochs=1, flip=flip)
    _, history = train_student(teacher, pictures, op, loss, made, 0, progress=False)
    x = pictures.images.float() / 255
    if flip:  # the first step's own view
        generator = generator_of(0, 0, 0, 0)
        order = epoch_order(12, 0, 0)
        x = random_flip(x[order], generator)
    with torch.no_grad():
        expected = F.mse_loss(teacher(op(x)), teacher(x))
    assert history.loss.iloc[0] == pytest.approx(float(expected), rel=1e-5)


def test_a_student_of_raw_mse_comes_near_to_r_in_distance_and_in_cosine():
    teacher, pictures = processes.small_encoder(), processes.small_pictures(96)
    x = pictures.images.float() / 255
    student, _ = train_student(
        teacher, pictures, MASK, losses.parse("raw_mse"), recipe(epochs=20), 0, progress=False
    )
    with torch.no_grad():
        seen = MASK(x, torch.Generator().manual_seed(1))
        before, after = (F.mse_loss(s(seen), teacher(x)) for s in (teacher, student.cpu()))
    assert after < before / 2
    assert cosine(student, teacher, x, MASK) > cosine(teacher, teacher, x, MASK) + 0.05


def test_teacher_embeddings_made_once_train_the_same_student(monkeypatch):
    teacher, pictures = processes.small_encoder(), processes.small_pictures()
    once, _ = train_student(teacher, pictures, MASK, ST, recipe(), 0, progress=False)
    monkeypatch.setattr(training, "fixed_targets", lambda *_: None)
    each_step, _ = train_student(teacher, pictures, MASK, ST, recipe(), 0, progress=False)
    torch.testing.assert_close(once.state_dict(), each_step.state_dict(), atol=1e-4, rtol=1e-3)


def test_only_the_visual_tower_learns_and_the_student_is_a_clip_again(tmp_path):
    teacher = encoders.fresh("stickers-clip", seed=0)
    pictures = processes.small_pictures(8)
    large = pictures.images.repeat_interleave(4, 2).repeat_interleave(4, 3)
    pictures = type(pictures)(large, pictures.labels, pictures.class_names, "large", "random")
    student, _ = train_student(
        teacher,
        pictures,
        MASK,
        ST,
        recipe(epochs=1, batch_size=8, precision="auto"),
        0,
        None,
        False,
    )
    learnt = {
        name
        for name, value in student.cpu().state_dict().items()
        if not torch.equal(value, teacher.state_dict()[name])
    }
    assert learnt == {name for name in learnt if name.startswith("clip.visual.")}
    assert {"clip.visual.conv1.weight", "clip.visual.bn1.running_mean"} <= learnt
    encoders.save(student, tmp_path / "student")
    x = large[:2].float() / 255
    again = encoders.load(tmp_path / "student")
    torch.testing.assert_close(again(x), student(x), atol=1e-5, rtol=1e-4)


def test_seed_and_draws():
    """The same seed gives the same student; another seed, or another draw, another."""
    teacher, pictures = processes.small_encoder(), processes.small_pictures()
    students = [
        train_student(
            teacher, pictures, op, ST, recipe(crop=(0.5, 1.0), flip=True), seed, None, False
        )
        for op, seed in ((MASK, 0), (MASK, 0), (MASK, 1), (operators.parse("noise:0.5"), 0))
    ]
    prints = [checkpoint.fingerprint(student.state_dict().values()) for student, _ in students]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_a_checkpoint_of_another_distillation_is_refused(tmp_path):
    pictures, path = processes.small_pictures(), tmp_path / "c.pt"
    teacher = processes.small_encoder()
    train_student(teacher, pictures, MASK, ST, recipe(), 0, path, progress=False)
    others = {
        "operator is mask:0.5 there and mask:0.6 here": (teacher, pictures, "mask:0.6", "st:0.1"),
        "loss is st:0.1 there and st:0.2 here": (teacher, pictures, "mask:0.5", "st:0.2"),
        "image data is": (teacher, processes.small_pictures(seed=1), "mask:0.5", "st:0.1"),
        "starting weights is": (processes.small_encoder(1), pictures, "mask:0.5", "st:0.1"),
    }
    for words, (r, images, op, loss) in others.items():
        with pytest.raises(ValueError, match=words):
            train_student(
                r, images, operators.parse(op), losses.parse(loss), recipe(), 0, path, False
            )


@pytest.mark.parametrize("loss", ["st:0.1,centred", "nt:0.2"])
def test_two_processes_make_the_gradient_of_one(loss):
    """Plain gradient steps with gathered negatives, against the whole batch in one process."""
    results = processes.two_ranks()
    alone = results["alone"][loss]
    teacher = processes.small_encoder(norm=False).state_dict()
    for rank in ("0", "1"):
        theirs = results[rank][loss]
        assert theirs["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        for name, weight in alone["weights"].items():
            moved = (weight - teacher[name]).abs().max()
            assert moved > 0, name
            assert (theirs["weights"][name] - weight).abs().max() < 1e-3 * moved, name


def test_several_processes_make_one_entry_of_the_store(tmp_path):
    """What torchrun starts: both train, one writes; what is there is found; a score is refused."""
    assert processes.run(processes.made_together, tmp_path, ranks=2) == [0, 0]
    store = tmp_path / "smoke" / "store"
    (entry,) = [path for path in (store / "student").iterdir() if path.is_dir()]
    assert sorted(path.name for path in (entry / "student").iterdir()) == [
        "open_clip_config.json",
        "open_clip_model.safetensors",
    ]
    assert not (entry / "checkpoint.pt").exists() and not (store / "known_operator").exists()


def test_the_progress_bar_shows_speed_and_loss(capsys):
    teacher, pictures = processes.small_encoder(), processes.small_pictures()
    _, history = train_student(teacher, pictures, MASK, ST, recipe(epochs=1), 0)
    text = capsys.readouterr().err
    assert "student, mask:0.5" in text and "images/s" in text
    assert f"loss={history.loss.iloc[-1]:.4f}" in text
    train_student(teacher, pictures, MASK, ST, recipe(epochs=1), 0, progress=False)
    assert capsys.readouterr().err == ""


def test_no_process_group_means_nothing_to_gather():
    rows = torch.rand(3, 2, requires_grad=True)
    assert training.gathered(rows) is rows
    assert hardware.accelerator().num_processes == 1


@pytest.mark.parametrize("text", ["st:0.1", "sb:0.1", "nt:0.1", "ss:0.1", "mse,centred"])
def test_a_batch_of_one_has_nothing_to_be_compared_with(text):
    """A picture alone would give the loss 0, and Adam would still move the weights by noise."""
    teacher, pictures = processes.small_encoder(), processes.small_pictures()

    def train(n, batch_size):
        some = pictures.subset(torch.arange(n))
        made = Recipe(1, batch_size, 1e-3, precision="fp32")
        return train_student(teacher, some, MASK, losses.parse(text), made, 0, progress=False)[1]

    for n, batch_size in ((4, 1), (1, 64)):
        with pytest.raises(ValueError, match=r"fewer than 2 in a batch.*batch_size of 2 or"):
            train(n, batch_size)
    history = train(5, 2)  # not 2, 2 and 1
    assert len(history) == 2 and (history.loss.abs() > 1e-6).all()
    assert len(train(5, 4)) == 2  # 3 and 2, as always


def test_a_loss_that_compares_nothing_takes_pictures_one_by_one():
    teacher, pictures = processes.small_encoder(), processes.small_pictures()
    for text in ("mse", "raw_mse", "st:0.1,weight=0"):
        some = pictures.subset(torch.arange(3))
        made = Recipe(1, 1, 1e-3, precision="fp32")
        history = train_student(teacher, some, MASK, losses.parse(text), made, 0, progress=False)[1]
        assert len(history) == 3


# -- pairs -------------------------------------------------------------------------------------
def negatives(folder: Path, n: int = 22) -> Pairs:
    """Pictures of several sizes and their negatives, as two folders."""
    (folder / "clean").mkdir()
    files = processes.picture_files(folder / "clean", n)
    for path in files.paths:
        ruined = folder / "ruined" / Path(path).name
        ruined.parent.mkdir(parents=True, exist_ok=True)
        Image.eval(Image.open(path), lambda value: 255 - value).save(ruined)
    return Pairs.from_folders(folder / "clean", folder / "ruined", labelled=False)


class Negative(operators.Operator):
    """What the pairs of `negatives` were ruined by."""

    name, limits, noisy = "negative", (0.0, 1.0), False

    def apply(self, x, severities, generator=None):
        return 1 - x


@pytest.mark.parametrize("memory", [False, True])
def test_of_pairs_r_sees_the_clean_picture_and_s_the_ruined_one(tmp_path, memory):
    """A student of pairs is the student of the operator that has ruined them: one crop and flip."""
    pairs = negatives(tmp_path)
    if memory:
        seen = pairs.seen_as(Preprocess(20, "squash"))
        parts = [
            ImageSet(part.decode(), part.labels, ("a",), part.name, "decoded")
            for part in (seen.clean, seen.ruined)
        ]
        pairs = Pairs(*parts)
    teacher = processes.small_encoder(norm=False)
    once = recipe(batch_size=8, crop=(0.3, 0.8), flip=True)
    student, _ = train_student(
        teacher, pairs, operators.Identity(), ST, once, 0, tmp_path / "c.pt", progress=False
    )
    want, _ = train_student(teacher, pairs.clean, Negative(1.0), ST, once, 0, progress=False)
    for name, weight in want.state_dict().items():
        torch.testing.assert_close(student.state_dict()[name], weight, atol=2e-3, rtol=0, msg=name)
    start = teacher.tower.state_dict()
    moved = [(weight - start[name]).abs().max() for name, weight in want.tower.state_dict().items()]
    assert max(moved) > 0.02

    whole = recipe(epochs=1, batch_size=8)  # R's embeddings of pictures in memory are kept
    student, _ = train_student(teacher, pairs, operators.Identity(), ST, whole, 0, progress=False)
    want, _ = train_student(teacher, pairs.clean, Negative(1.0), ST, whole, 0, progress=False)
    for name, weight in want.state_dict().items():
        torch.testing.assert_close(student.state_dict()[name], weight, atol=2e-3, rtol=0, msg=name)

    with pytest.raises(ValueError, match="belongs to another training"):
        other = pairs.subset(torch.arange(20))
        train_student(
            teacher, other, operators.Identity(), ST, once, 0, tmp_path / "c.pt", progress=False
        )
    with pytest.raises(ValueError, match=r"are ruined already, and mask:0.5 would"):
        train_student(teacher, pairs, operators.parse("mask:0.5"), ST, once, 0, progress=False)


def test_what_a_training_is_depends_on_the_files_and_decodes_none(tmp_path, monkeypatch):
    processes.picture_files(tmp_path, 6)
    files = ImageFiles.from_folder(tmp_path)
    monkeypatch.setattr(ImageFiles, "decode", None)
    first = loop.describe("distillation", files, operators.Identity())
    assert first["image data"] == files.fingerprint
    Path(files.paths[0]).write_bytes(b"another")
    assert loop.describe("distillation", files, operators.Identity()) != first
    assert loop.describe("distillation", files.subset(torch.arange(5)), MASK) != first
