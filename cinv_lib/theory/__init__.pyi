from . import configurations as configurations
from . import energies as energies
from . import limit as limit
from . import recovery as recovery
