import pytest
import torch

from lookcast.checkpoints import load_checkpoint, save_checkpoint
from lookcast.checks import InputError
from lookcast.generators.fitted import FittedGenerator
from lookcast.ops.bilateral.dispatch import apply_grid
from tests.samples import rand

GRID = rand(1, 12, 3, 4, 5, dtype=torch.float32)


class TestFittedGenerator:
    def test_applies_its_grid_to_every_photo(self):
        content = rand(2, 3, 20, 30, dtype=torch.float32)
        output = FittedGenerator.from_grid(GRID)(content)
        assert torch.equal(output.image, apply_grid(GRID.expand(2, -1, -1, -1, -1), content))

    def test_a_new_one_is_the_identity(self):
        content = rand(1, 3, 20, 30, dtype=torch.float32)
        assert (FittedGenerator()(content).image - content).abs().max() < 1e-6  # as the contract of the grid says

    def test_through_a_checkpoint(self, tmp_path):
        save_checkpoint(tmp_path / "look.safetensors", FittedGenerator.from_grid(GRID), {})
        loaded, _ = load_checkpoint(tmp_path / "look.safetensors")
        assert isinstance(loaded, FittedGenerator)
        assert torch.equal(loaded.grid, GRID)

    def test_rejects_sizes_out_of_range(self):
        with pytest.raises(InputError, match="depth"):
            FittedGenerator(depth=0)
