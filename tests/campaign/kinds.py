"""Every kind of trial, in the order in which they are made: the longest last."""

from tests.campaign import (
    archives,
    changed_bytes,
    course,
    disturbed,
    full_disk,
    manifests,
    parameters,
    pictures,
    texts,
)

KINDS = {
    "texts": texts.texts,
    "pictures": pictures.pictures,
    "archives": archives.archives,
    "manifests": manifests.manifests,
    "parameters": parameters.parameters,
    "bytes": changed_bytes.bytes_,
    "kill": disturbed.kill,
    "disk": full_disk.disk,
    "runners": disturbed.runners,
    "clock": disturbed.clock,
    "stop": disturbed.stop,
    "course": course.course,
}
