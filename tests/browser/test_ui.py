"""A finished study in MLflow's own interface: runs, comparison, pictures and the threshold page.

    python -m pytest -m browser tests/browser
    CNNLAB_SCREENSHOT=1 CNNLAB_STUDY=sqlite:///$PWD/mlflow.db python -m pytest -m browser tests/browser/test_ui.py

The second command shows the latest finished study of that store instead of a quick one, and makes
docs/mlflow_study.png of it.

The addresses and selectors are those of MLflow 3.17; all of them stand in this file.
"""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
SCREENSHOT = REPOSITORY / "docs" / "mlflow_study.png"
# what the screenshot's chart shows of a study, in place of MLflow's own choice: the first names in the alphabet
SHOWN_PARAMETERS = ("cfg/network", "cfg/optimizer", "cfg/lr", "cfg/augmentation")
SHOWN_METRICS = ("objective",)
START_SECONDS = 90  # the server's first start on a busy machine
# MLflow opens with an assistant's panel and a menu for language models: the reader's choice, kept by the browser
PREFERENCES = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.workflowType_v1": '"machine_learning"',
}


def finished_study(folder: Path) -> tuple[str, str]:
    """A finished study with its trials and artifacts: (tracking URI, the study's run id).

    The one of the store that CNNLAB_STUDY names, the latest that finished; else a quick one, run in `folder`.
    """
    uri = os.environ.get("CNNLAB_STUDY", "")
    if not uri:
        uri = f"sqlite:///{folder}/mlflow.db"
        command = [sys.executable, str(REPOSITORY / "studies" / "face_improve.py"), "--quick", "true"]
        path = os.pathsep.join(filter(None, [str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")]))
        done = subprocess.run(
            command, cwd=folder, env=_environment() | {"PYTHONPATH": path, "MLFLOW_TRACKING_URI": uri},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    client = MlflowClient(tracking_uri=uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    finished = client.search_runs(experiments, "attributes.status = 'FINISHED' and tags.question = 'A3'")
    parents = [run.info.run_id for run in finished if "mlflow.parentRunId" not in run.data.tags]
    assert parents, f"{uri} holds no finished run of face_improve"
    return uri, parents[0]


def _environment() -> dict[str, str]:
    """This process's, without the run or store of a surrounding `mlflow run`, and without MLflow's telemetry."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true"}


@dataclass(frozen=True)
class Study:
    """A running MLflow server and what is in its store."""

    address: str
    experiment: str
    parent: str
    parent_name: str
    children: dict[str, str]  # run id -> name
    artifacts: list[str]

    def run_page(self, suffix: str = "") -> str:
        """The address of the parent's page."""
        return f"{self.address}/#/experiments/{self.experiment}/runs/{self.parent}{suffix}"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """`mlflow ui` on a finished study."""
    folder = tmp_path_factory.mktemp("study")
    uri, parent = finished_study(folder)
    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(parent)
    found = client.search_runs([run.info.experiment_id], filter_string=f"tags.mlflow.parentRunId = '{parent}'")
    children = {child.info.run_id: child.info.run_name for child in found}
    artifacts = [file.path for place in ("", "figures") for file in client.list_artifacts(parent, place)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port), "--workers", "1"]
    log = folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, server, log)
        yield Study(address, run.info.experiment_id, parent, run.info.run_name, children, artifacts)
    finally:
        # the whole group, since the server starts workers of its own; it would wait for the browser's connections
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=30)


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with direct.open(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"mlflow ui did not start; its last words: {log.read_text()[-800:]}")


@pytest.fixture
def open_page(browser, study):
    """A function that opens an address of the server afresh, with the panels closed."""
    browser.get(f"{study.address}/static-files/favicon.ico")
    for key, value in PREFERENCES.items():
        browser.execute_script("localStorage.setItem(arguments[0], arguments[1])", key, value)

    def go(address: str):
        browser.switch_to.default_content()
        browser.get("about:blank")  # only the fragment differs between addresses: force a load
        browser.get(address)
        return browser

    return go


def wait(browser, condition, what: str, seconds: float = 40):
    """Wait until `condition(browser)` is true and return its value."""
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    ignored = (NoSuchElementException, StaleElementReferenceException, IndexError)
    try:
        return WebDriverWait(browser, seconds, ignored_exceptions=ignored).until(condition)
    except TimeoutException:
        words = browser.find_element("css selector", "body").text[:600]
        pytest.fail(f"the page at {browser.current_url} never showed {what}; it shows: {words}")


def body(browser) -> str:
    """The words on the page."""
    return browser.find_element("css selector", "body").text


def test_the_parent_opens_onto_its_children(open_page, study):
    browser = open_page(f"{study.address}/#/experiments/{study.experiment}/runs")
    wait(browser, lambda b: study.parent_name in body(b), "the parent run")
    expander = "[data-component-id*='runnamecellrenderer']"
    wait(browser, lambda b: b.find_elements("css selector", expander), "the parent's expander")[0].click()
    names = list(study.children.values())
    wait(browser, lambda b: sum(name in body(b).split("\n") for name in names) == len(names), "every trial")


def test_the_parents_page_lists_its_children(open_page, study):
    browser = open_page(study.run_page())
    wait(browser, lambda b: "Child runs" in body(b), "its child runs")
    links = "a[href*='/runs/']"
    found = wait(browser, lambda b: b.find_elements("css selector", links), "links to runs")
    addresses = " ".join(link.get_attribute("href") for link in found)
    assert all(child in addresses for child in study.children)


def test_all_trials_compare_in_one_chart(open_page, study):
    runs, experiments = (json.dumps(ids, separators=(",", ":")) for ids in (list(study.children), [study.experiment]))
    browser = open_page(f"{study.address}/#/compare-runs?runs={runs}&experiments={experiments}".replace('"', "%22"))
    count = len(study.children)
    wait(browser, lambda b: f"Comparing {count} Runs" in body(b), f"a comparison of {count} runs")
    axes = wait(browser, lambda b: b.find_elements("css selector", ".parcoords .y-axis"), "parallel coordinates")
    assert len(axes) >= 2
    plot = browser.find_element("css selector", ".js-plotly-plot")
    wait(browser, lambda b: coloured_pixels(plot) > 500, "the trials' lines in the chart")
    assert all(name in body(browser) for name in study.children.values())
    if os.environ.get("CNNLAB_SCREENSHOT"):
        choose(browser, "Parameters:", SHOWN_PARAMETERS)
        choose(browser, "Metrics:", SHOWN_METRICS)
        wait(browser, lambda b: coloured_pixels(b.find_element("css selector", ".js-plotly-plot")) > 500, "the chart")
        save_screenshot(browser)


def choose(browser, heading: str, names: tuple[str, ...]) -> None:
    """Put `names` into the chart's selection below a heading, in place of what is there."""
    from selenium.webdriver.common.keys import Keys

    block = f"//*[normalize-space(text())='{heading}']/following::*[contains(@class, 'select-selector')][1]"
    remove = block + "//*[contains(@class, 'selection-item-remove')]"
    while crosses := browser.find_elements("xpath", remove):
        crosses[0].click()
    field = browser.find_element("xpath", block + "//input")
    for name in names:
        field.send_keys(name)
        time.sleep(0.5)  # the list filters as one types
        field.send_keys(Keys.ENTER)
        time.sleep(0.5)
    field.send_keys(Keys.ESCAPE)
    browser.execute_script("arguments[0].blur()", field)


def save_screenshot(browser) -> None:
    """The page down to the chart's lower edge, with few colours to be small."""
    shot = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    SCREENSHOT.parent.mkdir(exist_ok=True)
    shot.quantize(128, dither=Image.Dither.NONE).save(SCREENSHOT, optimize=True)


def coloured_pixels(element) -> int:
    """How many pixels of an element are neither grey, black nor white."""
    pixels = np.asarray(Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")).astype(int)
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 30).sum())


def test_a_detection_picture_shows(open_page, study):
    picture = next(path for path in study.artifacts if re.fullmatch(r"figures/detections.*\.png", path))
    browser = open_page(study.run_page(f"/artifacts/{picture}"))
    size = "const i = document.querySelector('img.rc-image-img'); return i ? i.naturalWidth : 0"
    assert wait(browser, lambda b: b.execute_script(size), "the picture") > 300


def test_the_threshold_page_lives_in_the_artifact_viewer(open_page, study):
    assert "threshold.html" in study.artifacts
    browser = open_page(study.run_page("/artifacts/threshold.html"))
    frame = wait(browser, lambda b: b.find_element("css selector", "iframe.mlflow-html-iframe"), "the page's frame")
    browser.switch_to.frame(frame)
    wait(browser, lambda b: b.find_element("id", "total").text, "the counts")
    boxes = []
    for position in (0, 1000):
        move = "const s = document.getElementById('slider'); s.value = arguments[0];"
        browser.execute_script(move + "s.dispatchEvent(new Event('input'))", position)
        boxes.append(int(browser.find_elements("css selector", "#total td")[1].text))
    assert boxes[0] > 0 and boxes[1] == 0
    browser.switch_to.default_content()
