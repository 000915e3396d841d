"""Pages of the library's public names, with signatures and docstrings, as pdoc writes them.

They need no network and no script. `make site` puts them into a run's folder, beside its index.
"""

import importlib
from pathlib import Path
from types import ModuleType

import pdoc.doc
import pdoc.render

from cinv_lib.machine.files import write_text

FACE = "cinv_lib"  # what a reader imports; its page is the first
FOLDER = "api"


def write(run: Path) -> Path:
    """Write a page for what `import cinv_lib` offers, and one for each folder of it that is offered
    as a whole (`cinv_lib.losses`); returns the first."""
    face = loaded(FACE)
    parts = [vars(face)[name] for name in getattr(face, "__all__", ())]
    packages = [part for part in parts if isinstance(part, ModuleType)]
    modules = [face, *(loaded(part.__name__) for part in packages)]
    pages = {module.__name__: pdoc.doc.Module(module) for module in modules}
    pdoc.render.configure(docformat="google", search=False)  # the search would be a script
    files = [run / FOLDER / f"{name.replace('.', '/')}.html" for name in pages]
    for file, page in zip(files, pages.values(), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, pdoc.render.html_module(page, pages))
    return files[0]


def loaded(name: str) -> ModuleType:
    """A package with all its public names in place: pdoc reads what is there, and lazy_loader
    brings a name only when it is asked for."""
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        vars(module).setdefault(public, getattr(module, public))
    return module
