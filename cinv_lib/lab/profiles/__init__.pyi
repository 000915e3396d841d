from .names import PROFILES as PROFILES
from .names import of_one_of_your_own as of_one_of_your_own
from .names import profile as profile
from .paper import IMAGENET100 as IMAGENET100
from .paper import STL10 as STL10
from .record import Profile as Profile
from .smoke import SMOKE as SMOKE
from .stickers import STICKERS as STICKERS
