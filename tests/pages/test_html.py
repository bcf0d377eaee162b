import base64
import io

import numpy as np
import pytest
import torch
from jinja2 import UndefinedError
from PIL import Image

from lookcast.pages.html import float_text, jpeg_url, level_text, open_templates, png_url
from tests.samples import photo, rand


def decoded(url, kind):
    head, text = url.split(",")
    assert head == f"data:image/{kind};base64"
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert picture.format == kind.upper()
    return np.asarray(picture)


class TestPictureUrls:
    def test_png_keeps_every_level(self):
        levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
        image = torch.from_numpy(levels).permute(2, 0, 1)[None] / 255
        assert np.array_equal(decoded(png_url(image), "png"), levels)

    def test_jpeg_is_close_and_values_are_clamped(self):
        image = photo("chelsea", whole=True).float()
        expected = (image[0].permute(1, 2, 0) * 255).numpy()
        assert np.abs(decoded(jpeg_url(image), "jpeg") - expected).mean() < 4
        assert decoded(jpeg_url(torch.full((1, 3, 8, 8), 1.5)), "jpeg").min() == 255


class TestTexts:
    def test_floats(self):
        values = rand(3, 5, dtype=torch.float32)
        assert np.array_equal(np.frombuffer(base64.b64decode(float_text(values.T)), "<f4"), values.T.flatten().numpy())

    def test_levels(self):
        text = level_text(torch.tensor([[-1.0, 0.0], [0.5, 2.0]]))
        assert list(base64.b64decode(text)) == [0, 0, 128, 255]


class TestOpenTemplates:
    def test_shares_the_style_and_escapes(self, tmp_path):
        (tmp_path / "a.html").write_text(
            '{% extends "base.html" %}{% block body %}<p>{{ text }}</p>{% endblock %}', encoding="utf-8"
        )
        page = open_templates(tmp_path).get_template("a.html").render(text="<b>&")
        assert "<p>&lt;b&gt;&amp;</p>" in page
        assert "prefers-color-scheme: dark" in page

    def test_a_name_without_a_value(self, tmp_path):
        (tmp_path / "a.html").write_text("{{ text }}", encoding="utf-8")
        with pytest.raises(UndefinedError):
            open_templates(tmp_path).get_template("a.html").render()
