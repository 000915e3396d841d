"""Every kind of trial, in the order in which they are made: the longest last."""

from tests.campaign import disturbed

KINDS = {
    "kill": disturbed.kill,
    "runners": disturbed.runners,
    "clock": disturbed.clock,
    "stop": disturbed.stop,
}
