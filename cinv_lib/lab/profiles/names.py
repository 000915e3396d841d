"""The profiles by their names."""

from cinv_lib.lab.profiles import own
from cinv_lib.lab.profiles.paper import IMAGENET100, STL10
from cinv_lib.lab.profiles.record import Profile
from cinv_lib.lab.profiles.stickers import SMOKE, STICKERS

PROFILES = {p.name: p for p in (STICKERS, SMOKE, STL10, IMAGENET100)}


def profile(name: str | Profile) -> Profile:
    """The profile of that name (a Profile passes through); "own/NAME" is a reader's own run.

    Raises ValueError for a name that is not known, with those that are.
    """
    if isinstance(name, Profile):
        return name
    if name.startswith("own/"):
        return own.read(name).profile(name)
    if name not in PROFILES:
        raise ValueError(f"no profile {name!r}; there are {', '.join(PROFILES)}, and own/NAME")
    return PROFILES[name]
