"""Headless Chromium, from the system's packages (Debian: chromium, chromium-driver)."""

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def browser():
    """A Chromium of 1400 x 1000 pixels; skips where it, its driver or selenium is absent."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'cnnlab[dev]'")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses its sandbox to root, as in containers
    # the pages belong to this machine: no way out through a proxy that the shell may name
    options.add_argument("--no-proxy-server")
    options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.set_page_load_timeout(60)
    yield chrome
    chrome.quit()
