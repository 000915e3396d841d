"""An operator of one's own: one class, whose text is known once it is defined."""

import re
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
import torch

from cinv_lib.lab import profiles
from cinv_lib.operators import base, basic, classical
from cinv_lib.operators.base import Operator
from cinv_lib.operators.basic import Mixture, OneOf, RandomMask, parse

CELL = """
class Rows(Operator):
    name, limits = "rows", (0.0, 1.0)

    def apply(self, x, severities, generator=None):
        keep = torch.rand(len(x), 1, x.shape[2], 1, generator=generator, device=x.device)
        return x * (keep >= severities.to(x).view(-1, 1, 1, 1))
"""


def run(cell: str, name: str = "Rows") -> type[Operator]:
    """The class of a notebook's cell, which is not of the library."""
    scope = {"Operator": Operator, "torch": torch, "__name__": "__main__"}
    exec(cell, scope)
    return scope[name]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_five_lines_are_an_operator(pictures):
    Rows = run(CELL)
    op = Rows((0.3, 0.7))
    assert torch.equal(op(pictures, seeded()), op(pictures, seeded()))
    assert not torch.equal(op(pictures, seeded()), op(pictures, seeded(1)))
    assert torch.equal(op.at(0)(pictures), pictures)
    assert op.is_random and not op.at(0).is_random
    severities = op.draw(500, seeded())
    assert 0.3 <= severities.min() < 0.35 and 0.65 < severities.max() <= 0.7
    gone = (op.at(0.7)(torch.ones(50, 3, 40, 4), seeded()) == 0).double().mean()
    assert gone == pytest.approx(0.7, abs=0.05)


def test_it_compares_and_cannot_be_changed():
    Rows = run(CELL)
    assert Rows((0.5, 0.5)) == Rows(0.5) != RandomMask(0.5)
    assert len({Rows(0.5), Rows((0.2, 0.3)), Rows((0.2, 0.3))}) == 2
    assert "Rows(severity=0.5)" in repr(Rows(0.5))
    with pytest.raises(FrozenInstanceError):
        Rows(0.5).severity = 0.6
    with pytest.raises(ValueError, match=r"severity of rows is 1\.5; expected 0 to 1"):
        Rows(1.5)
    for wrong in ("half", (0.1, 0.2, 0.3), None):
        with pytest.raises(ValueError, match="expected a number, or a range"):
            Operator.__post_init__(_unchecked(Rows, wrong))


def _unchecked(cls: type[Operator], severity: object) -> Operator:
    """What a reader makes, without the type checks of the tests."""
    op = object.__new__(cls)
    object.__setattr__(op, "severity", severity)
    return op


def test_its_text_is_known_once_it_is_defined():
    with pytest.raises(ValueError, match=r"unknown operator 'rows:0\.3'"):
        parse("rows:0.3")
    Rows = run(CELL)
    assert parse("rows:0.3..0.7") == Rows((0.3, 0.7)) and str(Rows((0.3, 0.7))) == "rows:0.3..0.7"
    assert parse("rows:0.3@0.8+blur:1") == Mixture((Rows(0.3), parse("blur:1")), (0.8, 1.0))
    assert parse("rows:0.3|mask:0.5") == OneOf((Rows(0.3), RandomMask(0.5)))
    with pytest.raises(ValueError, match=r"known are identity, mask, .*, jpeg, rows, for"):
        parse("fog:3")


def test_a_cell_that_is_run_again_takes_the_class_place(pictures):
    first = run(CELL)
    again = run(CELL.replace("x * (keep", "1 - x * (keep"))
    assert type(parse("rows:0.3")) is again is not first
    assert parse("rows:0")(pictures).equal(1 - pictures)


def test_settings_of_ones_own_are_fields():
    """The decorator is for a class with more than a severity."""

    @dataclass(frozen=True)
    class Stripes(Operator):
        width: int = 2
        name, limits, noisy = "stripes", (0.0, 1.0), False

        def apply(self, x, severities, generator=None):
            stripes = (torch.arange(x.shape[2]) // self.width % 2).view(1, 1, -1, 1)
            return x * (1 - stripes * severities.to(x).view(-1, 1, 1, 1))

    op = Stripes(1.0, width=3)
    assert not op.is_random and op.at(0.5) == Stripes(0.5, 3) and parse("stripes:1") != op
    assert (op(torch.ones(1, 3, 12, 2))[0, 0, :, 0] == 0).nonzero()[:, 0].tolist() == [
        3, 4, 5, 9, 10, 11
    ]  # fmt: skip


def test_names_and_limits_that_cannot_be_used_are_refused():
    known = dict(base.OPERATORS)
    for name in ("mask", "identity", "blur", "noise"):
        with pytest.raises(ValueError, match=f"name '{name}', which is an operator of the library"):
            run(CELL.replace('"rows"', f'"{name}"'))
    for name in ('"Rows"', '"my rows"', '"rows:3"', '""', "3", "None"):
        with pytest.raises(ValueError, match=r"class Rows has the name .* expected lower-case"):
            run(CELL.replace('"rows"', name))
    for limits in ("1.0", "(1.0, 0.0)", '("0", "1")', "(0.0, 0.5, 1.0)"):
        with pytest.raises(ValueError, match=r"class Rows has the limits .* expected the smallest"):
            run(CELL.replace("(0.0, 1.0)", limits))
    with pytest.raises(ValueError, match="class Rows has the name None"):
        run(CELL.replace('name, limits = "rows", (0.0, 1.0)', "limits = (0.0, 1.0)"))
    with pytest.raises(ValueError, match="name 'mask', which is an operator of the library"):

        class Darker(RandomMask):  # "mask:0.9" can be one of the two only
            pass

    assert known == base.OPERATORS


def test_the_names_of_the_library_are_its_own():
    modules = basic.__name__, classical.__name__
    ours = [name for name, cls in base.OPERATORS.items() if cls.__module__ in modules]
    assert sorted(ours) == sorted(base.RESERVED)


def test_what_has_parts_is_no_part():
    mixture, choice = parse("blur:1@0.5"), parse("blur:1|blur:2")
    assert mixture.severity is choice.severity is None
    for op in (mixture, choice):
        with pytest.raises(ValueError, match="cannot be a part of a mixture"):
            Mixture((op,), (0.5,))
        with pytest.raises(ValueError, match="cannot be one of several"):
            OneOf((op, RandomMask(0.5)))
    assert "severity" not in repr(choice).replace("(severity", "")


def test_a_function_is_refused_with_the_class_to_write():
    with pytest.raises(
        ValueError, match=r"<lambda> at .* is no operator; expected a text"
    ) as error:
        basic._object(lambda x: x / 2)
    shown = re.search(r"such as\n(    class Rows.*?)\nand then", str(error.value), re.S)[1]
    cell = "\n".join(line[4:] for line in shown.split("\n"))
    assert len(cell.split("\n")) == 5
    Rows = run(cell.replace("ci.", ""))  # what it shows works as it stands
    assert parse("rows:0.3") == Rows(0.3) and basic._object(Rows(0.3)) == Rows(0.3)
    with pytest.raises(ValueError, match=r"<class .*Rows'> is no operator"):
        basic._object(Rows)  # the class in place of an object of it


def test_an_edited_operator_has_another_address_and_a_renamed_class_has_not():
    """Else a student of the edited cell would be yesterday's."""

    def address() -> str:
        return profiles.SMOKE.address(profiles.SMOKE["student"].task("rows:0.3..0.7"))

    run(CELL)
    first = address()
    run(CELL.replace("class Rows", "class Lines"), "Lines")
    assert address() == first
    run(CELL.replace("x.shape[2], 1,", "1, x.shape[3],"))  # columns
    edited = address()
    assert edited != first
    run(CELL)
    assert address() == first


def test_the_librarys_operators_are_described_by_their_texts_alone():
    assert base.described(parse("mask:0.9|blur:1")) == "mask:0.9|blur:1"
    Rows = run(CELL)
    text, fingerprint = base.described(Mixture((RandomMask(0.5), Rows(0.3)), (1.0, 0.5)))
    assert text == "mask:0.5@1+rows:0.3@0.5" and re.fullmatch("[0-9a-f]{16}", fingerprint)


@pytest.mark.parametrize(
    ("severity", "text"),
    [
        (np.float32(0.9), "mask:0.9"),
        (np.float64(0.9), "mask:0.9"),
        (torch.tensor(0.9), "mask:0.9"),
        (np.array([0.5, 0.9]), "mask:0.5..0.9"),
        (torch.tensor([0.5, 0.9]), "mask:0.5..0.9"),
        (np.int64(1), "mask:1"),
        (-0.0, "mask:0"),
    ],
)
def test_a_severity_is_the_number_that_it_stands_for(severity, text):
    op = RandomMask(severity)
    assert str(op) == text and op == parse(text)


@pytest.mark.parametrize("severity", [True, np.True_, "0.9", None, [0.5], np.ones((1, 2)), b"0.9"])
def test_a_severity_that_is_no_number_is_refused(severity):
    with pytest.raises(ValueError, match="expected a number, or a range"):
        RandomMask(severity)


@pytest.mark.parametrize("given", [0.9, None, b"mask:0.9", ["mask:0.9"]])
def test_what_is_neither_a_text_nor_an_operator_is_refused(given):
    with pytest.raises((ValueError, TypeError)):  # the latter: the check of types in tests
        parse(given)
