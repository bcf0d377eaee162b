import io

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from lookcast.web.mask_routes import _relabelled
from tests.web.conftest import encoded, opened

COLORS = [(0, 0, 255), (0, 255, 0), (128, 128, 128)]


def mask(size=(96, 64), kind="PNG"):
    """Return the bytes of a mask of three stripes."""
    image = Image.new("RGB", size)
    for number, color in enumerate(COLORS):
        image.paste(color, (number * size[0] // 3, 0, size[0], size[1]))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


class TestPutMask:
    @pytest.mark.parametrize("size", [(96, 64), (48, 32), (192, 128)])
    def test_comes_back(self, browser, size):
        photo = browser.upload(encoded())
        assert browser.put(f"/api/photos/{photo}/mask", content=mask(size)).json() == {
            "mask": f"/api/photos/{photo}/mask"
        }
        answer = browser.get(f"/api/photos/{photo}/mask")
        assert np.array_equal(opened(answer), np.asarray(Image.open(io.BytesIO(mask(size)))))
        assert answer.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        ("data", "line"),
        [
            (b"text", "mask: not a photo, or of an unknown format"),
            (mask((64, 64)), "mask: is 64x64 pixels, its photo 96x64: another aspect ratio"),
            (encoded("astronaut"), "mask: "),
        ],
        ids=["text", "aspect", "photo"],
    )
    def test_rejects(self, browser, data, line):
        photo = browser.upload(encoded())
        answer = browser.put(f"/api/photos/{photo}/mask", content=data)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(line)
        assert browser.get(f"/api/photos/{photo}/mask").status_code == 404

    def test_delete(self, browser):
        photo = browser.upload(encoded())
        browser.put(f"/api/photos/{photo}/mask", content=mask())
        assert browser.delete(f"/api/photos/{photo}/mask").status_code == 204
        assert browser.get(f"/api/photos/{photo}/mask").json()["error"] == "mask: no such mask in this visit"


class TestAutoMasks:
    def test_finds_the_regions_of_all_photos(self, browser):
        """A temple above trees, mirrored and at dusk: its sky and its trees correspond."""
        temple = np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize((320, 214)))
        dusk = (temple * np.array([0.6, 0.4, 0.5])).astype(np.uint8)
        ids = []
        for pixels in (temple, temple[:, ::-1], dusk):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            ids.append(browser.upload(file.getvalue()))
        answer = browser.post("/api/masks/auto", json={"content": ids[0], "styles": ids[1:]})
        assert answer.status_code == 200
        found = [opened(browser.get(address)) for address in (answer.json()["content"], *answer.json()["styles"])]
        assert [picture.shape for picture in found] == [(214, 320, 3)] * 3
        sky, trees = ([picture[rows] for picture in found] for rows in (slice(0, 30), slice(180, 214)))
        main = []
        for region in (sky, trees):
            colors, counts = np.unique(region[0].reshape(-1, 3), axis=0, return_counts=True)
            main.append(colors[counts.argmax()])
            for picture in region:
                assert (picture == main[-1]).all(2).mean() > 0.8
        assert (main[0] != main[1]).any()

    def test_labels_of_a_further_style_follow_the_content(self):
        wanted = torch.tensor([[0, 0, 0, 1, 1, 2]], dtype=torch.uint8)
        content = torch.tensor([[1, 1, 3, 3, 3, 3]], dtype=torch.uint8)
        style = torch.tensor([[1, 3], [0, 8]], dtype=torch.uint8)  # the content has neither 0 nor 8
        # Region 1 covers region 0, region 3 covers region 1 most, and 3 is the first label that `wanted` lacks.
        assert _relabelled(style, content, wanted).tolist() == [[0, 1], [3, 3]]

    def test_rejects(self, browser):
        photo = browser.upload(encoded())
        answer = browser.post("/api/masks/auto", json={"content": photo, "styles": ["none"]})
        assert (answer.status_code, answer.json()["error"]) == (404, "photo: no such photo in this visit")
