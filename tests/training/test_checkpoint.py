import os
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cinv_lib.training import checkpoint

SPEC = {"lr": "0.1", "seed": "0"}


def state(value=1.0):
    return {"spec": SPEC, "step": 7, "weights": {"w": torch.full((4, 3), value)}}


def test_round_trip_and_safe_to_open(tmp_path):
    path = tmp_path / "new folder" / "c.pt"
    checkpoint.save(path, state())
    for loaded in (checkpoint.load(path, SPEC), torch.load(path, weights_only=True)):
        assert loaded["step"] == 7
        assert torch.equal(loaded["weights"]["w"], torch.ones(4, 3))
    assert os.listdir(path.parent) == ["c.pt"]


def test_absent_is_none(tmp_path):
    assert checkpoint.load(tmp_path / "c.pt", SPEC) is None


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_full_disk_keeps_the_earlier_checkpoint(tmp_path):
    path = tmp_path / "c.pt"
    with pytest.raises(OSError, match="None was there"):
        (tmp_path / ".c.pt.partial").symlink_to("/dev/full")
        checkpoint.save(path, state())
    checkpoint.save(path, state(1.0))
    (tmp_path / ".c.pt.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"No space left.*c\.pt is intact.*Free some space") as error:
        checkpoint.save(path, state(2.0))
    assert error.value.errno == 28
    assert float(checkpoint.load(path, SPEC)["weights"]["w"][0, 0]) == 1.0
    assert os.listdir(tmp_path) == ["c.pt"]


def test_a_killed_write_is_overwritten(tmp_path):
    (tmp_path / ".c.pt.partial").write_bytes(b"half a checkpoint, from before a kill -9")
    checkpoint.save(tmp_path / "c.pt", state())
    assert os.listdir(tmp_path) == ["c.pt"]
    assert checkpoint.load(tmp_path / "c.pt", SPEC) is not None


def test_truncated_is_a_warning_and_a_fresh_start(tmp_path):
    path = tmp_path / "c.pt"
    checkpoint.save(path, state())
    data = path.read_bytes()
    for length in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.warns(UserWarning, match=r"c\.pt is damaged.*starts again from step 0"):
            assert checkpoint.load(path, SPEC) is None


def test_a_flipped_weight_is_seen(tmp_path):
    path = tmp_path / "c.pt"
    checkpoint.save(path, state())
    data = path.read_bytes()
    at = data.index(torch.ones(3).numpy().tobytes())
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with pytest.warns(UserWarning, match="damaged"):
        assert checkpoint.load(path, SPEC) is None


@pytest.mark.filterwarnings("ignore:The checkpoint")
@settings(max_examples=60, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), xor=st.integers(1, 255))
def test_no_flipped_byte_is_ever_believed(tmp_path_factory, where, xor):
    path = tmp_path_factory.mktemp("flip") / "c.pt"
    checkpoint.save(path, state())
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= xor
    path.write_bytes(data)
    loaded = checkpoint.load(path, SPEC)  # None, or a byte that no content depends on
    if loaded is not None:
        assert loaded["step"] == 7
        assert torch.equal(loaded["weights"]["w"], torch.ones(4, 3))


def test_another_training_is_refused_by_name(tmp_path):
    path = tmp_path / "c.pt"
    checkpoint.save(path, state())
    with pytest.raises(ValueError, match=r"lr is 0\.1 there and 0\.2 here") as error:
        checkpoint.load(path, {"lr": "0.2", "seed": "0"})
    assert "seed" not in str(error.value)
    with pytest.raises(ValueError, match="flip is absent there and True here"):
        checkpoint.load(path, SPEC | {"flip": "True"})
    with pytest.raises(ValueError, match="seed is 0 there and absent here"):
        checkpoint.load(path, {"lr": "0.1"})


def test_fingerprint_sees_each_bit_dtype_and_shape():
    x = torch.arange(6.0)
    others = [
        x.double(),
        x.reshape(2, 3),
        x.flip(0),
        torch.nextafter(x, torch.tensor(9.0)),
        x.int(),
        x.bfloat16(),
        torch.tensor(1.0),
    ]
    prints = {checkpoint.fingerprint([t]) for t in [x, *others]}
    assert len(prints) == len(others) + 1
    assert checkpoint.fingerprint([x]) == checkpoint.fingerprint([x.clone()])
    transposed = torch.arange(6.0).reshape(3, 2).T  # memory layout is not content
    assert checkpoint.fingerprint([transposed]) == checkpoint.fingerprint([transposed.contiguous()])


def test_a_record_that_is_marked_as_a_folder_is_damage(tmp_path):
    """Else torch gives its tensor whatever was in memory, and every checksum is right."""
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"spec": {}, "module": {"a": torch.ones(400)}})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02", 0, data.rindex(b"/data/0")) + 38] |= 0x10
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="is damaged .*data/0 is marked as a folder"):
        assert checkpoint.load(path, {}) is None
