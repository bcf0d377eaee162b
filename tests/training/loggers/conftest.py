import os

import pytest
import wandb


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    """Remove every account, and restore the environment that wandb and Lightning change."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "netrc").touch()
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield
    os.environ.pop("WANDB_MODE", None)
    wandb.teardown()  # it would keep this environment
