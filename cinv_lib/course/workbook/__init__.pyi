from .commands import check as check
from .commands import hint as hint
from .commands import progress as progress
from .commands import solution as solution
from .predictions import predict as predict
from .predictions import reveal as reveal
from .todo import TODO as TODO
