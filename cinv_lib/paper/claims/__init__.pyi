from . import known as known
from . import losses as losses
from . import open_problems as open_problems
from . import shifted as shifted
