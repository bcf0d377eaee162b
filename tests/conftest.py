"""Fixtures for tests in several folders."""

import pytest


@pytest.fixture(scope="module")  # a playwright that stays open would leave its event loop to other tests
def chromium():
    from tests.browser import run_chromium  # playwright is imported only where a browser is needed

    yield from run_chromium()
