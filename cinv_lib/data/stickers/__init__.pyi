from . import coarse as coarse
from . import drawing as drawing
from . import files as files
from . import glyphs as glyphs
from . import sets as sets
