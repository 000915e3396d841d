from . import checks as checks
from . import files as files
from . import folders as folders
from . import hardware as hardware
from . import host as host
from . import provenance as provenance
from . import store as store
