"""Proves the paper's path on one GPU in at most eight minutes, and says how fast it is.

    python -m tests.gpu                 eight minutes at most
    python -m tests.gpu --seconds 200   less: sections that no longer fit are skipped, and said
    python -m tests.gpu --only slope    some sections

It needs no network, no ImageNet and no published weights: random JPEGs and random weights of the
real shapes, and the embedded `smoke` profile. On a machine that has PyTorch and nothing else, give
it the wheels that it names:

    pip install --no-index --find-links WHEELS open_clip_torch ...

Each section catches its own errors; the last line has their number. Without a GPU it takes small
networks and a few pictures, which shows that it runs and no more.
"""
