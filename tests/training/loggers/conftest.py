import os

import pytest
import wandb


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    """No account anywhere; what wandb and Lightning set in the environment is taken back."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "netrc").touch()
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield
    os.environ.pop("WANDB_MODE", None)
    wandb.teardown()  # it would remember this environment
