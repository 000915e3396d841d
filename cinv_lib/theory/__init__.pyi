from . import configurations as configurations
from . import energies as energies
from . import recovery as recovery
