import numpy as np
from PIL import Image

from lookcast.evaluation.pair_folder import find_pairs, read_pair
from lookcast.evaluation.pictures import write_pictures
from lookcast.pages.drawings import overlay
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
