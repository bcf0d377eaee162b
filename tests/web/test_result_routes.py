import io
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookcast.cli import main
from lookcast.inference.stylizer import load
from lookcast.photos.read import read_photo
from lookcast.web.looks import Looks
from lookcast.web.pixels import Preview, encode_preview
from tests.looks import save_look
from tests.photo_files import ADOBE_RGB, exif, png16
from tests.web.conftest import Browser, encoded, opened

STYLE = encoded("coffee")


def wide():
    """Return a 16-bit PNG whose two channels of neighbouring levels 8 bits would merge."""
    values = np.arange(96 * 64 * 3).reshape(64, 96, 3) % 65536
    return png16(values.astype(np.uint16), 2)


PHOTOS = {
    "plain.jpg": (encoded(quality=95), "jpeg"),
    "with exif and profile.jpg": (encoded(exif=exif(6), icc_profile=ADOBE_RGB), "jpeg"),
    "deep.png": (wide(), "png"),
    "deep.tif": (wide(), "tiff"),
    "small.webp": (encoded(kind="WEBP"), "webp"),
}
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp"}


class TestDownload:
    @pytest.mark.parametrize("name", PHOTOS)
    @pytest.mark.parametrize("strength", [1.0, 0.4])
    def test_has_the_bytes_of_the_command_line(self, browser, checkpoint, tmp_path, monkeypatch, name, strength):
        data, kind = PHOTOS[name]
        result = browser.stylize(browser.upload(data, name), browser.upload(STYLE, "style.jpg"))
        address = f"/api/results/{result['id']}"
        found = browser.get(f"{address}/download", params={"format": kind, "strength": strength})
        lines = browser.get(f"{address}/lines", params={"format": kind, "strength": strength}).json()

        monkeypatch.chdir(tmp_path)
        Path(name).write_bytes(data)
        Path("style.jpg").write_bytes(STYLE)
        Path("tiny.safetensors").write_bytes(checkpoint.read_bytes())
        assert main(shlex.split(lines["command"])[1:]) == 0
        written = Path(f"{Path(name).stem}_style{SUFFIXES[kind]}")
        assert found.content == written.read_bytes()
        assert found.headers["content-disposition"].startswith("attachment; filename")
        photo, before = read_photo(written), read_photo(name)
        assert photo.pixels.dtype == before.pixels.dtype
        assert photo.icc_profile == before.icc_profile
        assert (photo.exif is None) == (before.exif is None)
        assert not np.array_equal(photo.pixels, before.pixels)

    def test_has_the_pixels_of_the_python_api(self, browser, checkpoint):
        data = encoded()
        result = browser.stylize(browser.upload(data), browser.upload(STYLE))
        found = opened(browser.get(f"/api/results/{result['id']}/download", params={"format": "png"}))
        photo, style = (Image.open(io.BytesIO(part)) for part in (data, STYLE))
        assert np.array_equal(found, np.asarray(load(checkpoint, "cpu").stylize(photo, style)))

    def test_leaves_no_file(self, browser, tmp_path):
        result = browser.stylize(browser.upload(encoded()), browser.upload(STYLE))
        before = sorted((tmp_path / "temporary").rglob("*"))
        assert browser.get(f"/api/results/{result['id']}/download").status_code == 200
        assert sorted((tmp_path / "temporary").rglob("*")) == before

    def test_strength_0_is_the_photo(self, browser):
        result = browser.stylize(browser.upload(encoded()), browser.upload(STYLE))
        found = opened(browser.get(f"/api/results/{result['id']}/download", params={"format": "png", "strength": 0}))
        assert np.array_equal(found, np.asarray(Image.open(io.BytesIO(encoded()))))


class TestLooks:
    """The choices of a look give the bytes of the command line."""

    @pytest.mark.parametrize(
        "choices",
        [
            {"weights": [2, 1]},
            {"weights": [1, 1]},
            {"use_masks": "auto"},
            {"use_masks": "auto", "weights": [1, 3]},
            {"use_masks": True},
            {"use_masks": True, "weights": [1, 0.5]},
            {"refine": 2},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("name", ["photo.jpg", "-a b'c.png"])
    def test_equal_bytes(self, browser, checkpoint, tmp_path, monkeypatch, choices, name):
        data = encoded() if name == "photo.jpg" else wide()
        weights = choices.pop("weights", [1])
        names = ["first.jpg", "second.png"][: len(weights)]
        files = [encoded("coffee"), encoded("astronaut", "PNG")]
        monkeypatch.chdir(tmp_path)
        content = browser.upload(data, name)
        styles = [browser.upload(file, style) for file, style in zip(files, names, strict=False)]
        for file, style in zip([data, *files], [name, *names], strict=False):
            Path(f"./{style}").write_bytes(file)
        if choices.get("use_masks") is True:
            for key, photo in zip([content, *styles], [name, *names], strict=True):
                mask = Image.new("RGB", (48, 32), (0, 0, 255))
                mask.paste((0, 255, 0), (0, 0, 24, 32))
                mask.save(f"./{Path(photo).stem}_mask.png")
                answer = browser.put(
                    f"/api/photos/{key}/mask", content=Path(f"./{Path(photo).stem}_mask.png").read_bytes()
                )
                assert answer.status_code == 200
        Path("tiny.safetensors").write_bytes(checkpoint.read_bytes())
        chosen = [{"id": key, "weight": weight} for key, weight in zip(styles, weights, strict=True)]
        result = browser.stylize(content, *chosen, **choices)
        found = browser.get(f"/api/results/{result['id']}/download", params={"format": "png"}).content
        lines = browser.get(f"/api/results/{result['id']}/lines", params={"format": "png"}).json()

        words = shlex.split(lines["command"])
        assert main(words[1:]) == 0
        written = Path(words[-1])
        assert written.read_bytes() == found
        written.unlink()
        exec(lines["python"], {})
        assert written.read_bytes() == found


class TestPreview:
    def test_at_full_size_is_the_result(self, browser):
        result = browser.stylize(browser.upload(encoded()), browser.upload(STYLE))
        whole = opened(browser.get(f"/api/results/{result['id']}/download", params={"format": "png"}))
        found = browser.get(f"/api/results/{result['id']}/preview", params={"side": 96})
        assert found.content == encode_preview(Preview(whole, None))[0]

    def test_is_the_stylized_preview(self, browser):
        data = encoded(box=(slice(0, 240), slice(0, 400)), kind="PNG")
        result = browser.stylize(browser.upload(data, "a.png"), browser.upload(STYLE))
        found = opened(browser.get(f"/api/results/{result['id']}/preview", params={"side": 100})).astype(float)
        whole = opened(browser.get(f"/api/results/{result['id']}/download", params={"format": "png"}))
        assert found.shape == (60, 100, 3)
        after, before = (
            np.asarray(image.resize((100, 60), Image.Resampling.BILINEAR))
            for image in (Image.fromarray(whole), Image.open(io.BytesIO(data)))
        )
        # Slicing a small photo differs from shrinking a sliced photo at edges.
        assert np.abs(found - after).mean() < 0.25 * np.abs(found - before).mean()

    def test_strength_runs_no_network(self, serve, monkeypatch):
        monkeypatch.setattr(Looks, "warm_up", lambda looks: None)  # it runs the network at a moment of its own
        browser = Browser(serve())
        result = browser.stylize(browser.upload(encoded()), browser.upload(STYLE))
        calls = []
        generator = browser.client.app._app.state.service.looks.open(None).generator
        for name in ("read", "predict_grid"):
            monkeypatch.setattr(type(generator), name, lambda *_, name=name: calls.append(name))
        address, box = f"/api/results/{result['id']}", {"x": 0, "y": 0, "w": 96, "h": 64}
        assert browser.get(f"{address}/preview", params={"strength": 0.3}).status_code == 200
        off, half, full = (
            opened(browser.get(f"{address}/crop", params={**box, "strength": strength})).astype(float)
            for strength in (0, 0.5, 1)
        )
        assert browser.get(f"{address}/download", params={"strength": 0.7}).status_code == 200
        assert calls == []
        free = (full > 0) & (full < 255)  # a clamped value is no mean
        assert free.mean() > 0.5
        # Half the strength is the mean of both. `full` and `half` are rounded to levels: an error of 0.25 + 0.5.
        assert np.abs((off + full) / 2 - half)[free].max() <= 0.76

    def test_keeps_transparency(self, browser):
        image = Image.open(io.BytesIO(encoded())).convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        file = io.BytesIO()
        image.save(file, "PNG")
        result = browser.stylize(browser.upload(file.getvalue(), "a.png"), browser.upload(STYLE))
        found = browser.get(f"/api/results/{result['id']}/preview", params={"side": 48})
        assert found.headers["content-type"] == "image/webp"
        assert opened(found).shape == (32, 48, 4)
        assert opened(found)[0, 0, 3] < 20 < 235 < opened(found)[-1, 0, 3]


class TestCrop:
    @pytest.mark.parametrize("name", ["plain.jpg", "with exif and profile.jpg", "deep.png"])
    @pytest.mark.parametrize("strength", [1, 0.5, 0])
    def test_equals_the_part_of_the_whole(self, browser, name, strength):
        data, _ = PHOTOS[name]
        result = browser.stylize(browser.upload(data, name), browser.upload(STYLE))
        size = {"w": result["width"], "h": result["height"], "strength": strength}
        whole = opened(browser.get(f"/api/results/{result['id']}/crop", params={"x": 0, "y": 0, **size}))
        box = {"x": 11, "y": 23, "w": 37, "h": 29, "strength": strength}
        part = opened(browser.get(f"/api/results/{result['id']}/crop", params=box))
        assert np.array_equal(part, whole[23:52, 11:48])

    def test_equals_the_download(self, browser):
        result = browser.stylize(browser.upload(encoded()), browser.upload(STYLE))
        whole = opened(browser.get(f"/api/results/{result['id']}/download", params={"format": "png"}))
        part = opened(browser.get(f"/api/results/{result['id']}/crop", params={"x": 7, "y": 9, "w": 50, "h": 40}))
        assert np.array_equal(part, whole[9:49, 7:57])

    @pytest.mark.parametrize(
        ("box", "line"),
        [
            ((90, 0, 7, 1), "x, y, w, h: the crop 7x1+90+0 is not inside 96x64 pixels"),
            ((0, 64, 1, 1), "x, y, w, h: the crop 1x1+0+64 is not inside 96x64 pixels"),
            ((0, 0, 5000, 1), "w, h: expected at most 2048 pixels, got 5000x1"),
            ((-1, 0, 1, 1), "x: expected at least 0, got '-1'"),
            ((0, 0, 0, 1), "w: expected at least 1, got '0'"),
            (("one", 0, 1, 1), "x: expected an integer, got 'one'"),
        ],
    )
    def test_rejects(self, browser, box, line):
        result = browser.stylize(browser.upload(encoded()), browser.upload(STYLE))
        answer = browser.get(f"/api/results/{result['id']}/crop", params=dict(zip("xywh", box, strict=True)))
        assert (answer.status_code, answer.json()["error"][: len(line)]) == (422, line)


class TestLut:
    @pytest.mark.parametrize("kind", ["cube", "hald"])
    def test_is_close_to_the_result(self, browser, kind):
        data = encoded(kind="PNG")
        result = browser.stylize(browser.upload(data, "a.png"), browser.upload(STYLE, "b.jpg"))
        answer = browser.get(f"/api/results/{result['id']}/lut", params={"format": kind})
        assert answer.status_code == 200
        if kind == "hald":
            assert opened(answer).shape[:2] == (512, 512)
            return
        assert 'filename="a_b.cube"' in answer.headers["content-disposition"]
        rows = [line for line in answer.text.splitlines() if line[0].isdigit()]
        table = np.array([row.split() for row in rows], float).reshape(33, 33, 33, 3)
        pixels = np.asarray(Image.open(io.BytesIO(data))) / 255
        whole = opened(browser.get(f"/api/results/{result['id']}/download", params={"format": "png"})) / 255
        nearest = np.rint(pixels * 32).astype(int)
        found = table[nearest[..., 2], nearest[..., 1], nearest[..., 0]]
        # A table has one output for each colour, and the nearest of 33 entries is up to 1/64 away.
        assert np.abs(found - whole).mean() < 0.5 * np.abs(pixels - whole).mean()


class TestAddResult:
    def test_describes_the_result(self, browser):
        answer = browser.stylize(browser.upload(encoded(), "a.jpg"), browser.upload(STYLE, "b.jpg"))
        assert (answer["width"], answer["height"]) == (96, 64)
        assert answer["seconds"] > 0
        assert answer["command"] == "lookcast stylize a.jpg --style b.jpg --checkpoint tiny.safetensors -o a_b.jpg"

    @pytest.mark.parametrize(
        ("choices", "status", "line"),
        [
            ({"styles": []}, 400, "styles: the checkpoint tiny needs a style photo"),
            ({"styles": [{"id": "none"}]}, 404, "photo: no such photo in this visit"),
            ({"weight": 0}, 400, "weights: expected positive numbers, got 0.0"),
            ({"weight": "x"}, 422, "styles.0.weight: expected "),
            ({"refine": 101}, 400, "refine: expected an integer from 0 to 100, got 101"),
            ({"refine": -1}, 422, "refine: expected at least 0, got -1"),
            ({"use_masks": True}, 400, "masks: photo.jpg has no mask, and no style has one"),
            ({"use_masks": "some"}, 422, "use_masks"),
            ({"checkpoint": "none"}, 400, "checkpoint: expected one of tiny, universal_free, universal, got 'none'"),
            (
                {"checkpoint": "../../etc/passwd"},
                400,
                "checkpoint: expected one of tiny, universal_free, universal, got '../../etc/passwd'",
            ),
            ({"unknown": 1}, 422, "unknown: unknown argument"),
        ],
        ids=str,
    )
    def test_rejects(self, browser, choices, status, line):
        content, style = browser.upload(encoded()), {"id": browser.upload(STYLE)}
        if "weight" in choices:
            style["weight"] = choices.pop("weight")
        answer = browser.post("/api/results", json={"content": content, "styles": [style], **choices})
        assert answer.status_code == status
        assert answer.json()["error"].startswith(line)

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null"])
    def test_rejects_malformed_bodies(self, browser, body):
        browser.get("/api/settings")
        answer = browser.post("/api/results", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)
        assert "\n" not in answer.json()["error"]

    def test_mask_on_one_side(self, browser):
        content, style = browser.upload(encoded()), browser.upload(STYLE)
        mask = io.BytesIO()
        Image.new("RGB", (96, 64), (0, 0, 255)).save(mask, "PNG")
        browser.put(f"/api/photos/{content}/mask", content=mask.getvalue())
        answer = browser.post("/api/results", json={"content": content, "styles": [{"id": style}], "use_masks": True})
        assert answer.status_code == 400
        assert "mask" in answer.json()["error"]

    def test_the_oldest_result_goes(self, serve):
        browser = Browser(serve(results=2))
        content, style = browser.upload(encoded()), browser.upload(STYLE)
        ids = [browser.stylize(content, style)["id"] for _ in range(3)]
        assert [browser.get(f"/api/results/{key}/preview").status_code for key in ids] == [404, 200, 200]


class TestSingleLook:
    def test_needs_no_style(self, serve, tmp_path):
        path = save_look(tmp_path / "own.safetensors")
        browser = Browser(serve(checkpoints=[path]))
        content = browser.upload(encoded())
        result = browser.stylize(content)
        assert result["command"] == "lookcast stylize photo.jpg --checkpoint own.safetensors -o photo_own.jpg"
        found = opened(browser.get(f"/api/results/{result['id']}/download", params={"format": "png"}))
        photo = Image.open(io.BytesIO(encoded()))
        assert np.array_equal(found, np.asarray(load(path, "cpu").stylize(photo)))
        style = browser.upload(STYLE)
        answer = browser.post("/api/results", json={"content": content, "styles": [{"id": style}]})
        assert answer.status_code == 400
        assert "style" in answer.json()["error"]
