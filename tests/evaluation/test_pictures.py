import numpy as np
import torch
from PIL import Image

from lookcast.evaluation.pair_folder import find_pairs, read_pair
from lookcast.evaluation.pictures import overlay, write_pictures
from tests.pair_folders import save_pairs


class TestWritePictures:
    def test_known_value(self, tmp_path):
        files = find_pairs(save_pairs(tmp_path / "pairs"))[0]
        images = read_pair(files)
        outputs = {"content": images.content, **images.references, "output": images.style}
        paths = write_pictures(tmp_path / "report", files, images, outputs)
        assert list(paths) == ["content", "style", "content_mask", "style_mask", "dpst", "output"]
        shown = {
            **outputs,
            "style": images.style,
            "content_mask": overlay(images.content, images.content_mask),
            "style_mask": overlay(images.style, images.style_mask),
        }
        for column, path in paths.items():
            pixels = np.asarray(Image.open(tmp_path / "report" / path)) / 255
            assert np.abs(pixels - shown[column][0].permute(1, 2, 0).numpy()).mean() < 0.03


class TestOverlay:
    def test_known_value(self):
        image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
        mask = torch.zeros(1, 9, 1, 2)
        mask[0, 0, 0, 0], mask[0, 4, 0, 1] = 1, 1  # blue, red
        expected = torch.tensor([[[0.2, 0.7], [0.2, 0.2], [0.7, 0.2]]]).view(1, 3, 1, 2)
        torch.testing.assert_close(overlay(image, mask), expected)
