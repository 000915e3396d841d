"""What operators and severities are called in sentences and figures."""

from collections.abc import Iterable

from cinv_lib.operators.basic import parse

KINDS = {"mask": "masks", "noise": "noise", "blur": "blur"}


def kind(op: str) -> str:
    """The kind of an operator in a word; the text of one that has none.

    >>> kind("mask:0.5..0.95"), kind("jpeg:10")
    ('masks', 'jpeg:10')
    """
    return KINDS.get(op.partition(":")[0], op) if op.count(":") == 1 else op


def at(op: str, severity: float) -> str:
    """A severity of an operator.

    >>> at("mask:0.9", 0.9), at("noise:0.1..0.3", 0.5)
    ('90 % missing', 'σ 0.5')
    >>> at("rows", 0.5)  # of a reader's own only the number is known
    '0.5'
    """
    if kind(op) == "masks":
        return f"{100 * severity:.4g} % missing"
    return f"σ {severity:g}" if kind(op) in ("noise", "blur") else f"{severity:g}"


def title(op: str) -> str:
    """An operator with its one severity, for a panel; a range without it.

    >>> title("mask:0.9"), title("noise:0.1..0.3")
    ('masks, 90 % missing', 'noise')
    """
    low, high = parse(op).bounds if kind(op) != op else (0.0, 1.0)
    return f"{kind(op)}, {at(op, high)}" if low == high else kind(op)


def corruption(op: str) -> str:
    """An operator in a sentence, with its severity or its range; the text of one without a kind.

    >>> corruption("mask:0.9"), corruption("blur:2.57"), corruption("jpeg:10")
    ('90 % missing', 'blur of σ 2.57', 'jpeg:10')
    >>> corruption("mask:0.5..0.95"), corruption("noise:0.1..0.3")
    ('50 to 95 % missing', 'noise of σ 0.1 to 0.3')
    """
    if kind(op) == op:
        return op
    first, last = (at(op, severity) for severity in parse(op).bounds)
    number = first.removesuffix(" % missing")
    there = last if first == last else f"{number} to {last.removeprefix('σ ')}"
    return there if kind(op) == "masks" else f"{kind(op)} of {there}"


def names(ops: Iterable[str]) -> dict[str, str]:
    """Each operator's kind where that tells them apart, with its severity where it does not.

    >>> names(["mask:0.9", "noise:0.5"])
    {'mask:0.9': 'masks', 'noise:0.5': 'noise'}
    >>> names(["mask:0.5", "mask:0.9"])["mask:0.5"]
    'masks, 50 % missing'
    """
    ops = list(ops)
    kinds = [kind(op) for op in ops]
    return {
        op: name
        if kinds.count(name) == 1 or name == op
        else f"{name}, {at(op, parse(op).bounds[1])}"
        for op, name in zip(ops, kinds, strict=True)
    }
