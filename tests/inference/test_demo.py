import numpy as np
import pytest
from PIL import Image

from lookcast.checks import InputError
from lookcast.inference.demo import GAP, TILE, stylize_examples, write_sheet
from lookcast.inference.stylizer import Stylizer
from tests.looks import look


class TestStylizeExamples:
    # tests/test_cli_demo.py compares the photos with those of `lookcast stylize`.
    def test_rejects_a_single_look_and_writes_nothing(self, tmp_path):
        with pytest.raises(InputError, match="style"):
            stylize_examples(Stylizer(look(), {}, "cpu"), tmp_path / "new")
        assert not (tmp_path / "new").exists()


class TestWriteSheet:
    def test_known_value(self, tmp_path):
        red, blue = (np.full((50, 80, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255)))
        write_sheet(tmp_path / "sheet.png", [[None, red], [blue, red]])
        sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
        width, height = TILE
        assert sheet.shape == (2 * height + GAP, 2 * width + GAP, 3)
        assert (sheet[:height, :width] == 255).all()
        assert (sheet[:height, width + GAP :] == (255, 0, 0)).all()
        assert (sheet[height + GAP :, :width] == (0, 0, 255)).all()
        assert (sheet[height : height + GAP] == 255).all()

    def test_photos_are_cropped_in_the_middle(self, tmp_path):
        photo = np.zeros((200, 500, 3), np.uint8)
        photo[:, 100:400] = 90
        write_sheet(tmp_path / "sheet.png", [[photo]])
        assert (np.asarray(Image.open(tmp_path / "sheet.png")) == 90).all()
