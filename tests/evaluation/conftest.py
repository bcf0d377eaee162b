import pytest

from lookcast import cli
from tests.pair_folders import save_pairs


@pytest.fixture
def folder(tmp_path):
    return save_pairs(tmp_path / "pairs")


@pytest.fixture
def run(tmp_path, folder, capsys):
    """Run `lookcast evaluate` in this process; return exit code, stdout and stderr."""

    def evaluate(*arguments, pairs=folder, out=tmp_path / "report"):
        code = cli.main(["evaluate", "--pairs", str(pairs), "-o", str(out), *map(str, arguments)])
        return code, *capsys.readouterr()

    return evaluate
