import hashlib

import pytest
import skimage.data
import torch

from lookcast import examples
from lookcast.checks import InputError
from lookcast.data.sources import samples
from lookcast.data.sources.samples import SAMPLES, Sample, sample_path
from lookcast.photos.read import read_photo


class TestSamplePath:
    @pytest.mark.parametrize("name", SAMPLES)
    def test_is_a_photo(self, name):
        pixels = read_photo(sample_path(name)).pixels
        assert min(pixels.shape[:2]) >= 256
        assert pixels.std() > 20

    def test_known_value(self):
        assert torch.equal(
            torch.from_numpy(read_photo(sample_path("chelsea")).pixels), torch.from_numpy(skimage.data.chelsea())
        )

    def test_example_photos(self):
        for name, path in (examples.contents() | examples.styles()).items():
            assert sample_path(name) == path
        assert not SAMPLES.keys() & (examples.contents() | examples.styles()).keys()

    def test_all_differ(self):
        assert len({hashlib.sha256(sample_path(name).read_bytes()).digest() for name in SAMPLES}) == len(SAMPLES)

    def test_rejects_unknown_name(self):
        with pytest.raises(
            InputError, match=r"^sample:lenna: no such sample; there are city, lake, .*, astronaut, chelsea"
        ):
            sample_path("lenna")

    def test_rejects_missing_package(self, monkeypatch):
        monkeypatch.setitem(SAMPLES, "coffee", Sample("package_that_is_not_there.data", "coffee.png", ""))
        with pytest.raises(InputError, match=r"^sample:coffee: needs .*pip install 'lookcast\[samples\]'"):
            sample_path("coffee")

    def test_rejects_missing_file(self, monkeypatch):
        monkeypatch.setitem(SAMPLES, "coffee", Sample("skimage.data", "coffee_from_another_version.png", ""))
        with pytest.raises(InputError, match=r"^sample:coffee: skimage\.data of this installation does not hold"):
            sample_path("coffee")


class TestSamples:
    def test_each_names_its_author_and_terms(self):
        for sample in SAMPLES.values():
            author, _, terms = sample.terms.rpartition(", ")
            assert author
            assert terms in {"public domain", "CC0", "CC BY 2.0"}

    def test_prefix(self):
        assert samples.PREFIX == "sample:"
