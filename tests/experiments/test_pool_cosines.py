"""How near students of more pictures come to R(x)."""

import pytest
import torch
import torch.nn.functional as F

from cinv_lib.encoders.inference import embedded
from cinv_lib.evaluation import corrupted
from cinv_lib.experiments.pools import PICTURES, PoolCosines
from cinv_lib.lab.lab import Lab
from cinv_lib.operators.basic import parse

OP = "mask:0.9"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


def test_cosines_are_those_of_the_models_on_the_draws_that_are_scored(lab):
    entry, seed = lab.profile["pool_cosines"], 1
    rows = lab.table("pool_cosines", OP, [seed])
    names = ["clip", *entry.operators[OP]]
    assert rows.method.unique().tolist() == names
    assert rows.pictures.unique().tolist() == [0, *PICTURES.values()]
    towers = {name: lab.made(name, OP, seed) for name in names[1:]} | {"clip": lab.teacher}
    for row in rows.itertuples():
        A_x = torch.cat(list(corrupted(parse(OP), lab.val, seed, row.realisation)))
        S, R = embedded(towers[row.method], A_x), embedded(lab.teacher, lab.val.images)
        assert row.cosine == pytest.approx(F.cosine_similarity(S, R).mean().item(), abs=2e-5)


def test_r_itself_on_whole_pictures_is_at_one(lab):
    entry = PoolCosines(operators={"identity": ()}, realisations=1)
    rows = entry.measure(entry.task("identity"), lab.teacher, {}, lab.val)["pool_cosines"]
    assert rows.cosine.tolist() == pytest.approx([1.0], abs=1e-6)
