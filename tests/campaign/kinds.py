"""Every kind of trial, in the order in which they are made: the longest last."""

from tests.campaign import changed_bytes, disturbed, full_disk, pictures, texts

KINDS = {
    "kill": disturbed.kill,
    "disk": full_disk.disk,
    "runners": disturbed.runners,
    "clock": disturbed.clock,
    "stop": disturbed.stop,
    "bytes": changed_bytes.bytes_,
    "pictures": pictures.pictures,
    "texts": texts.texts,
}
