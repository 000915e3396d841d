"""The face is a promise: its names and signatures are written down in `face.txt`, and a change of
one is a change of that file, which a reviewer sees.

To write it anew: python -m tests.test_face_signatures > tests/face.txt, with a line in CHANGELOG.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import cinv_lib as ci

WRITTEN = Path(__file__).with_name("face.txt")


def lines() -> Iterator[str]:
    """`name(parameters=defaults)` of every public function, class and method."""
    for name in sorted(name for name in ci.__all__ if not inspect.ismodule(getattr(ci, name))):
        thing = getattr(ci, name)
        yield name + parameters(thing)
        if inspect.isclass(thing):
            ours = [c for c in reversed(thing.__mro__) if c.__module__.startswith("cinv_lib")]
            members = {key: value for cls in ours for key, value in vars(cls).items()}
            for method, value in sorted(members.items()):
                called = getattr(value, "__func__", value)
                if inspect.isfunction(called) and not method.startswith("_"):
                    yield f"{name}.{method}{parameters(called)}"


def parameters(thing: Callable) -> str:
    """The signature without annotations, which are the type checker's."""
    found = inspect.signature(thing)
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=found.empty))


def test_the_face_is_what_is_written():
    assert "\n".join(lines()) + "\n" == WRITTEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    print("\n".join(lines()))
