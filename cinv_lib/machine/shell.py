"""What the Makefile asks before there is an environment, under any Python from 3.8 on.

python3 -I cinv_lib/machine/shell.py gpus | cores     what this process may use
python3 -I cinv_lib/machine/shell.py jobs [GPUS]      how many trainings at once
python3 -I cinv_lib/machine/shell.py run PROFILE      the folder of a profile's run
python3 -I cinv_lib/machine/shell.py folders          where the course keeps things
python3 -I cinv_lib/machine/shell.py environment      lines for a shell: what has to be set here
python3 -I cinv_lib/machine/shell.py check NAME=VALUE ...  are these whole numbers?
python3 -I cinv_lib/machine/shell.py install PYTHON TORCH  make `.venv`, or bring it up to date
python3 -I cinv_lib/machine/shell.py doctor PORT PYTHON [WORD=VALUE ...]  is all in place?
"""

# ruff: noqa: UP006, UP035 (the names of types that Python 3.8 has)

import os
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import List

if __name__ == "__main__":  # the packages' own __init__ needs a library
    for name in ("cinv_lib", "cinv_lib.machine"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(__file__).resolve().parents[2].joinpath(*name.split(".")))]
        sys.modules[name] = package

from cinv_lib.machine import finding, folders, host, installation, preflight


def main(arguments: List[str]) -> int:
    """Answer one question on standard output; 1 with a sentence on standard error if it cannot."""
    question, rest = (arguments or [""])[0], arguments[1:]
    if question == "cores":
        print(host.cores())
    elif question == "gpus":
        print(*host.gpus())
    elif question == "jobs":
        print(host.jobs(" ".join(rest).split()))
    elif question == "run":
        print(folders.run_folder("".join(rest)))
    elif question == "folders":
        print(folders.shown())
    elif question == "environment":
        for variable, value in {**host.environment(), **folders.exported()}.items():
            print(f"export {variable}={shlex.quote(value)}")
    elif question == "check":
        wrong = host.check(rest)
        print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
        return int(bool(wrong))
    elif question == "install":
        try:
            installation.install(*rest)
        except (ValueError, subprocess.CalledProcessError) as error:
            print(error, file=sys.stderr)
            return 1
    elif question == "doctor":
        port, given, *words = rest
        asked = [word for word in words if "=" in word]  # what `make course` is asked for
        if preflight.installed().status == "OK":
            python = str(installation.VENV / "bin/python")
            os.execv(python, [python, "-m", "cinv_lib.course.doctor", "--port", port, *asked])
        checks = preflight.before(int(port), given)
        return finding.report(checks, "the course can be installed: make install", "see README.md")
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
