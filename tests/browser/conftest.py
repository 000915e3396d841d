"""JupyterLab and Chromium for tests that press keys in a real page; without them they skip.

To have them: `apt-get install chromium` (or another Chrome) and `pip install playwright`, whose own
browser download is not needed.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 240  # for a kernel that imports torch on a busy machine

_CONNECTED = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
# The toolbar shows idle before the kernel is connected, so ask the kernel itself.
_ANSWERS = (
    "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.info }"
)
_RUN = "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells') }"

# JupyterLab as it is, but for its kernels, which begin warm.
_LAB = """
from jupyterlab.labapp import main
from tests import warm

warm.pytest_configure()
main()
"""


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(browser, tmp_path_factory):
    """A JupyterLab on a free port with settings of its own: (address, folder of notebooks)."""
    base = tmp_path_factory.mktemp("jupyter")
    folder = base / "notebooks"
    folder.mkdir()
    settings = base / "config" / "labconfig" / "page_config.json"
    settings.parent.mkdir(parents=True)
    # Its pop-up asks the network for news.
    off = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    settings.write_text(json.dumps(off))
    # Cells outside the window are not in the page otherwise.
    tracker = base / "config/lab/user-settings/@jupyterlab/notebook-extension"
    tracker.mkdir(parents=True)
    (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    environment = os.environ | {f"JUPYTER_{k}_DIR": str(base / v) for k, v in places.items()}
    environment |= {"IPYTHONDIR": str(base / "ipython"), "PYTHONPATH": str(ROOT)}
    options = [
        f"--ServerApp.root_dir={folder}",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--ip=127.0.0.1",
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        "--LabApp.expose_app_in_browser=True",
    ]
    with (base / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _LAB, *options], env=environment, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api/status", process, base / "log")
        yield address, folder
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def window(browser):
    """One for all notebooks: another would fetch and compile all of JupyterLab again."""
    context = browser.new_context(viewport={"width": 1300, "height": 1800})
    context.set_default_timeout(SECONDS * 1000)
    yield context
    context.close()


@pytest.fixture
def open_notebook(window, server):
    """Call with a notebook's JSON and `run` (all cells, or none): the page with it."""
    address, folder = server

    def open_it(notebook: dict, name: str, run: bool = True):
        (folder / name).write_text(json.dumps(notebook))
        page = window.new_page()
        page.goto(f"{address}/doc/tree/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        if run:
            page.wait_for_function(_CONNECTED)
            page.evaluate(_ANSWERS)
            page.evaluate(_RUN)
        return page

    open_it.saved = lambda name: json.loads((folder / name).read_text())
    yield open_it
    for k, page in enumerate(window.pages):
        page.screenshot(path=folder / f"last-{k}.png")
        page.close()


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
