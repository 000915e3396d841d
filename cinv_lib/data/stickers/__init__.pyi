from . import coarse as coarse
from . import drawing as drawing
from . import glyphs as glyphs
from . import sets as sets
