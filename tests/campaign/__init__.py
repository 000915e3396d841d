"""A campaign of faults: what happens to a reader's files when things go wrong, tried many times.

    python -m tests.campaign                     every kind, about 20 minutes on 2 cores
    python -m tests.campaign --only kill --minutes 5 --out trials.jsonl

It is no part of `make test`. *Lost*: a file that was whole is not, or the finished result differs
in a byte from the undisturbed one. *Unclear*: a traceback, or words that name neither the thing nor
the fix.
"""
