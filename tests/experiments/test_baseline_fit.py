"""What classifiers make of training and validation pictures, clean and corrupted."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss

from cinv_lib import evaluation, operators
from cinv_lib.experiments import baseline_fit
from cinv_lib.lab.lab import Lab

OP = "mask:0.5..0.95"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


def test_scores_and_losses_are_scikit_learns(lab):
    """Of the second draw of the corrupted training pictures, by the kept baseline."""
    kept, model = lab.table("baseline_fit"), lab.baseline(OP)
    with torch.no_grad():
        blocks = evaluation.corrupted(operators.parse(OP), lab.train, seed=0, realisation=1)
        logits = torch.cat([model(x) for x in blocks])
    shares, labels = logits.double().softmax(1).numpy(), lab.train.labels.numpy()
    row = kept.query(
        "method == 'baseline' and pictures == 'training' and seen == 'corrupted'"
        " and realisation == 1"
    ).squeeze()
    known = 100 * accuracy_score(labels, shares.argmax(1))
    assert row.top1 == pytest.approx(known, abs=1.0)  # a picture in another precision
    assert row.loss == pytest.approx(log_loss(labels, shares, labels=range(32)), rel=1e-2)


def test_every_method_set_and_draw_has_a_row(lab):
    kept, draws = lab.table("baseline_fit"), lab.profile["baseline_fit"].realisations
    counts = kept.groupby(["method", "pictures", "seen"]).size().unstack("seen")
    assert (counts.clean == 1).all() and (counts.corrupted == draws).all()
    methods = ["baseline", "baseline100", "student"]
    assert [*counts.index] == [(m, s) for m in methods for s in ("training", "validation")]
    clean = kept.query("seen == 'clean'").groupby(["method", "pictures"]).loss.first()
    assert clean.is_unique, "every model and set is looked at by itself"


def test_the_pictures_add_up_to_the_scores(lab):
    kept, pictures = lab.table("baseline_fit"), lab.table("fit_by_picture")
    draws = lab.profile["baseline_fit"].realisations
    assert pictures.label.tolist() == lab.val.labels.tolist()
    assert (pictures.draws == draws).all()
    asked = kept.query("pictures == 'validation' and seen == 'corrupted'")
    for method, top1 in asked.groupby("method").top1.mean().items():
        assert pictures[method].between(0, draws).all()
        assert 100 * pictures[method].mean() / draws == pytest.approx(top1, abs=1e-3)


def test_epochs_are_the_means_of_the_histories(lab):
    epochs = lab.table("fit_by_epoch")
    for kind in ("baseline", "baseline100"):
        history = lab.history(kind, OP)
        assert len(epochs) == history.epoch.nunique()
        assert epochs[kind].iloc[-1] == pytest.approx(
            history.loss[history.epoch == history.epoch.max()].mean(), abs=1e-4
        )


@given(st.integers(1, 10), st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=1))
def test_gained_less_lost_is_the_difference(draws, counted):
    a, b = (torch.tensor(v).clamp(max=draws) for v in zip(*counted, strict=True))
    gained, lost = baseline_fit.exchange(a, b, draws)
    assert gained >= 0 and lost >= 0
    assert baseline_fit.exchange(b, a, draws) == pytest.approx((lost, gained))
    difference = 100 * (b - a).double().mean().item() / draws
    assert gained - lost == pytest.approx(difference, abs=1e-9)
    assert gained + lost == pytest.approx(100 * (b - a).abs().double().mean().item() / draws)


def test_a_model_exchanges_nothing_with_itself(lab):
    own = torch.tensor(lab.table("fit_by_picture").student.to_numpy())
    assert baseline_fit.exchange(own, own, 2) == (0.0, 0.0)
