from . import inside as inside
from . import kernel as kernel
from . import report as report
from . import rows as rows
from . import submission as submission
