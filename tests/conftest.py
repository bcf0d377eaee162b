"""Fixtures for tests in several folders."""

import signal

import pytest


def pytest_configure():
    """Let Ctrl-C reach the tests and their processes. A job that a shell runs in the background ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Put the files with a slow test first, so that none of them runs alone at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module")  # a playwright that stays open would leave its event loop to other tests
def chromium():
    from tests.browser import run_chromium  # playwright is imported only where a browser is needed

    yield from run_chromium()


@pytest.fixture
def run(capsys, checkpoint):
    """`lookcast stylize` in this process with the `checkpoint` of the tests: exit code, stdout, stderr."""
    from lookcast import cli

    def stylize(*arguments):
        code = cli.main(["stylize", "--checkpoint", str(checkpoint), "--device", "cpu", *map(str, arguments)])
        return code, *capsys.readouterr()

    return stylize
