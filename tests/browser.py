"""Chromium for the tests of pages, and how long they wait for it.

The tests are skipped where Chromium is missing, unless the variable CI is set.
"""

import os
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--force-color-profile=srgb"]
PATIENCE = 120_000  # milliseconds; the machine may have much other work

expect.set_options(timeout=PATIENCE)


def run_chromium():
    """Start Chromium, yield the browser, and close it."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        message = "Chromium is missing: apt-get install chromium"
        assert not os.environ.get("CI"), message
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
