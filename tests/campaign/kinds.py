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
    "kill": disturbed.kill,
    "disk": full_disk.disk,
    "runners": disturbed.runners,
    "clock": disturbed.clock,
    "stop": disturbed.stop,
    "bytes": changed_bytes.bytes_,
    "pictures": pictures.pictures,
    "archives": archives.archives,
    "manifests": manifests.manifests,
    "parameters": parameters.parameters,
    "texts": texts.texts,
    "course": course.course,
}
