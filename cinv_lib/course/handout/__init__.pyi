from . import folder as folder
from . import misconceptions as misconceptions
from . import notes as notes
from . import plans as plans
