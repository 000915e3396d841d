"""The profiles by their names."""

from cinv_lib.encoders.config import EMBEDDED
from cinv_lib.lab import missing
from cinv_lib.lab.profiles import own, own_example, rehearsed
from cinv_lib.lab.profiles.paper import IMAGENET100, STL10
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.lab.profiles.smoke import SMOKE
from cinv_lib.lab.profiles.stickers import STICKERS

PROFILES = {p.name: p for p in (STICKERS, SMOKE, STL10, IMAGENET100)}


def profile(name: str | Profile) -> Profile:
    """The profile of that name (a Profile passes through); "own/NAME" is a reader's own run.

    Raises ValueError for a name that is not known, with those that are.
    """
    if isinstance(name, Profile):
        return name
    if not isinstance(name, str):
        raise ValueError(f"profile {name!r}: expected a name, as {', '.join(PROFILES)} or own/NAME")
    if name == own.EXAMPLE:
        return own_example.example()
    if name.startswith("own/"):
        return own.read(name).profile(name)
    if name not in PROFILES:
        raise ValueError(f"no profile {name!r}; there are {', '.join(PROFILES)}, and own/NAME")
    p = PROFILES[name]
    # that of the stickers takes minutes as it is, and lessons of others show its recorded results
    little = rehearsed.asked_for() and p.teacher not in EMBEDDED
    return rehearsed.rehearsed(p) if little else p


def of_one_of_your_own(name: str) -> Profile:
    """What lesson 18 shows under this profile: that run, or offline the example.

    Raises missing.Absent for a profile of the paper's, with the command that makes a run.
    """
    if name == "stickers":
        return own_example.example()
    if name == "smoke":
        return own_example.tiny(name)
    p = profile(name)
    if not p.is_own:
        make = f"make own NAME=mine PICTURES=DIR OPERATOR=mask:0.9 TEACHER={p.teacher}"
        missing.end(p, [f"a run of your own, with pictures of your own: `{make}`"])
    return p
