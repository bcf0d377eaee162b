"""Fixtures for tests in several folders."""

import pytest


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
