"""The interactive panels. Each is a plain `render` function and a widget around it."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
