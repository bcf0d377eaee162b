import io

import numpy as np
import pytest
from PIL import Image

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
    def test_finds_the_regions_of_both_photos(self, browser):
        """Two photos of a bright and a dark half: the halves correspond."""
        noise = np.random.default_rng(0).normal(0, 6, (128, 192, 3))
        ids = []
        for turned in (False, True):
            ramp = np.where(np.arange(128)[:, None, None] < 64, [180, 200, 250], [70, 50, 20]) + noise
            pixels = ramp.clip(0, 255).astype(np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels[:, ::-1] if turned else pixels).save(file, "PNG")
            ids.append(browser.upload(file.getvalue()))
        answer = browser.post("/api/masks/auto", json={"content": ids[0], "style": ids[1]})
        assert answer.status_code == 200
        found = [opened(browser.get(answer.json()[name])) for name in ("content", "style")]
        assert [picture.shape for picture in found] == [(128, 192, 3)] * 2
        top, bottom = (
            np.unique(half.reshape(-1, 3), axis=0, return_counts=True) for half in (found[0][:56], found[0][72:])
        )
        main = [colors[counts.argmax()].tolist() for colors, counts in (top, bottom)]
        assert main[0] != main[1]
        assert (found[1][:56] == main[0]).all(2).mean() > 0.9
        assert (found[1][72:] == main[1]).all(2).mean() > 0.9

    def test_rejects(self, browser):
        photo = browser.upload(encoded())
        answer = browser.post("/api/masks/auto", json={"content": photo, "style": "none"})
        assert (answer.status_code, answer.json()["error"]) == (404, "photo: no such photo in this visit")
