from . import lab as lab
from . import missing as missing
from . import plan as plan
from . import profiles as profiles
from . import several_gpus as several_gpus
from .lab import Lab as Lab
from .missing import Absent as Absent
