import http.server
import json
import os
import pickle
import shutil
import struct
import sys
import tarfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pytest
import skimage.data
import torch
from moto.server import ThreadedMotoServer
from PIL import Image
from torch.utils.data import DataLoader

from lookcast.checks import InputError
from lookcast.data.sources import shards
from lookcast.data.sources.folder import PhotoFolder, find_photos
from lookcast.data.sources.shards import PhotoShards
from lookcast.data.store import storage, writer
from lookcast.data.store.index import INDEX, VERSION
from lookcast.photos.masks import read_mask
from lookcast.photos.read import PhotoError, read_srgb
from tests.shard_sets import COLORS, MIN_SIDE, save_folder, save_shards, save_striped_masks


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def masks(tmp_path_factory, photos):
    return save_striped_masks(tmp_path_factory.mktemp("masks"), photos)


@pytest.fixture(scope="module")
def made(tmp_path_factory, photos, masks):
    """Shards with masks, which no test changes."""
    return save_shards(tmp_path_factory.mktemp("shards") / "made", photos, masks)


@pytest.fixture
def copy(tmp_path, made):
    """A copy of the shards to damage."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def two_shards(tmp_path, monkeypatch, photos):
    """Several shards: `--shard-mb 1` with a MiB of 30 kB."""
    monkeypatch.setattr(writer, "_MIB", 30_000)
    return save_shards(tmp_path / "several", photos, shard_mb=1)


class RangeHandler(http.server.SimpleHTTPRequestHandler):
    """Python's server with byte ranges, failures on demand, and a record of requests."""

    failures = 0
    ranges = True
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_GET(self):
        handler = type(self)
        wanted = self.headers.get("Range")
        handler.asked.append((self.path, wanted))
        if handler.failures > 0:
            handler.failures -= 1
            self.send_error(503)
            return
        if wanted is None or not handler.ranges:
            super().do_GET()
            return
        data = Path(self.translate_path(self.path)).read_bytes()
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        part = data[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(made, monkeypatch):
    """Return the URL of the shards on a real server, and its handler."""
    handler = type("Handler", (RangeHandler,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=made)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        monkeypatch.setattr(storage, "PAUSES", (0.01,) * 3)
        yield f"http://127.0.0.1:{running.server_port}", handler
        running.shutdown()
        thread.join()


def assert_same(left, right):
    assert len(left) == len(right)
    for number in range(len(left)):
        a, b = left.read(number), right.read(number)
        assert np.array_equal(a.pixels, b.pixels)
        assert np.array_equal(a.labels, b.labels)


class TestSameSamples:
    @pytest.mark.parametrize("format", ["npy", "png"])
    def test_lossless_formats_equal_the_folder(self, tmp_path, photos, format):
        source = PhotoShards(save_shards(tmp_path / "shards", photos, format=format))
        files = find_photos(photos)
        assert len(source) == len(files) == 7
        for number, file in enumerate(files):
            photo = source.read(number)
            assert np.array_equal(photo.pixels, read_srgb(file, min_side=MIN_SIDE))
            assert min(photo.pixels.shape[:2]) == MIN_SIDE
            assert photo.labels is None
            assert source.name(number) == str(file.relative_to(photos))

    def test_jpeg_is_off_by_a_level_or_two(self, tmp_path, photos):
        source = PhotoShards(save_shards(tmp_path / "shards", photos, format="jpg"))
        for number, file in enumerate(find_photos(photos)):
            error = np.abs(source.read(number).pixels.astype(int) - read_srgb(file, min_side=MIN_SIDE))
            assert 0 < error.mean() < 2

    def test_quality(self, tmp_path, photos):
        sets = [PhotoShards(save_shards(tmp_path / str(q), photos, format="jpg", quality=q)) for q in (50, 95)]
        assert sets[0]._records[:, 1].sum() < sets[1]._records[:, 1].sum() * 0.7

    @pytest.mark.parametrize("format", ["npy", "jpg", "png"])
    def test_masks(self, tmp_path, photos, masks, format):
        source = PhotoShards(save_shards(tmp_path / "shards", photos, masks, format))
        assert source.has_masks
        for number, file in enumerate(find_photos(photos)):
            photo = source.read(number)
            expected = read_mask(masks / f"{file.stem}.png", photo.pixels.shape[:2])
            assert photo.labels.dtype == np.uint8
            assert np.array_equal(photo.labels, expected.numpy())
            assert len(np.unique(photo.labels)) == 9

    def test_across_several_shards(self, two_shards, photos):
        assert len(list(two_shards.glob("*.tar"))) > 2
        source = PhotoShards(two_shards)
        for number, file in reversed(list(enumerate(find_photos(photos)))):
            assert np.array_equal(source.read(number).pixels, read_srgb(file, min_side=MIN_SIDE))
            assert source.name(number) == str(file.relative_to(photos))

    def test_rejects_a_number_out_of_range(self, made):
        for number in (-1, 7):
            with pytest.raises(IndexError):
                PhotoShards(made).read(number)

    def test_fingerprint(self, made, photos, two_shards):
        # A run may resume with the shards of its folder: the same photos in the same order.
        folder = PhotoFolder(find_photos(photos))
        assert PhotoShards(made).fingerprint == PhotoShards(two_shards).fingerprint == folder.fingerprint


class TestVersion1:
    """Shards that an earlier release wrote; the JSON of their index has other names for some fields."""

    FOLDER = Path(__file__).parent / "shards_version_1"

    @pytest.fixture
    def folders(self, tmp_path):
        """The photos and masks that they were made from."""
        for name, top, left in (("é", 100, 200), ("two", 300, 120)):
            pixels = skimage.data.astronaut()[top : top + 18, left : left + 20]
            mask = COLORS[np.arange(20) // 5 + 2][None].repeat(18, 0)
            for folder, image in (("photos", pixels), ("masks", mask)):
                (tmp_path / folder).mkdir(exist_ok=True)
                Image.fromarray(image).save(tmp_path / folder / f"{name}.png")
        return tmp_path / "photos", tmp_path / "masks"

    def test_can_be_read(self, folders):
        source = PhotoShards(self.FOLDER)
        assert (len(source), source.min_side, source.has_masks) == (2, 16, True)
        assert source.fingerprint == "24ec6080873a827d"
        assert_same(source, PhotoFolder(find_photos(folders[0]), folders[1], min_side=16))
        assert [source.name(number) for number in range(2)] == ["two.png", "é.png"]

    def test_are_written_byte_for_byte(self, folders, tmp_path):
        made = save_shards(tmp_path / "made", *folders, min_side=16)
        assert {path.name: path.read_bytes() for path in made.iterdir()} == {
            path.name: path.read_bytes() for path in self.FOLDER.iterdir()
        }


class TestFormat:
    """Other programs can read the files."""

    @pytest.mark.parametrize("format", ["npy", "jpg", "png"])
    def test_a_plain_tar(self, tmp_path, photos, masks, format):
        out = save_shards(tmp_path / "shards", photos, masks, format)
        source = PhotoShards(out)
        with tarfile.open(out / "000000.tar") as tar:
            assert tar.getnames() == [f"{n:09d}.{end}" for n in range(7) for end in (format, "mask.png")]
            for number in range(7):
                stored = BytesIO(tar.extractfile(f"{number:09d}.{format}").read())
                pixels = np.load(stored) if format == "npy" else np.asarray(Image.open(stored))
                assert np.array_equal(pixels, source.read(number).pixels)

    def test_a_mask_has_the_nine_colours(self, made, masks, photos):
        with tarfile.open(made / "000000.tar") as tar:
            shown = Image.open(tar.extractfile("000000003.mask.png")).convert("RGB")
        file = find_photos(photos)[3]
        whole = Image.open(masks / f"{file.stem}.png")
        assert np.array_equal(np.asarray(shown), np.asarray(whole.resize(shown.size, Image.Resampling.NEAREST)))

    def test_the_same_photos_make_the_same_bytes(self, tmp_path, photos, masks, made):
        again = save_shards(tmp_path / "again", photos, masks)
        assert {path.name: path.read_bytes() for path in again.iterdir()} == {
            path.name: path.read_bytes() for path in made.iterdir()
        }


class TestWorkers:
    def test_pickle_does_not_grow_with_the_photos(self, made):
        source = PhotoShards(made)
        assert len(pickle.dumps(source)) < 3000
        assert_same(pickle.loads(pickle.dumps(source)), source)

    def test_the_records_of_a_pickle_are_mapped(self, made):
        records = pickle.loads(pickle.dumps(PhotoShards(made)))._records
        assert isinstance(records, np.memmap)
        assert not records.flags.writeable

    @pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
    def test_forked_workers(self, made):
        source = PhotoShards(made)
        expected = [source.read(number).pixels for number in range(7)]
        numbers = [*range(7)] * 3
        loader = DataLoader(
            _Pixels(source), batch_size=None, num_workers=2, multiprocessing_context="fork", sampler=numbers
        )
        for number, pixels in enumerate(loader):
            assert torch.equal(pixels, torch.from_numpy(expected[number % 7]))

    @pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
    def test_forked_workers_read_from_a_server(self, server, made, tmp_path):
        """The parent has read before: connections and their thread do not survive a fork."""
        source = PhotoShards(server[0], cache=tmp_path)
        first = source.read(0)
        read = list(DataLoader(_Pixels(source), batch_size=None, num_workers=2, multiprocessing_context="fork"))
        assert np.array_equal(read[0].numpy(), first.pixels)
        assert len(read) == 7

    def test_threads_of_a_system_without_pread(self, made, monkeypatch):
        expected = [PhotoShards(made).read(number).pixels for number in range(7)]
        monkeypatch.delattr(os, "pread")
        source, numbers = PhotoShards(made), [*range(7)] * 20
        with ThreadPoolExecutor(8) as pool:
            for number, photo in zip(numbers, pool.map(source.read, numbers), strict=True):
                assert np.array_equal(photo.pixels, expected[number])

    def test_limits_the_number_of_open_files(self, two_shards, monkeypatch):
        monkeypatch.setattr(storage, "MAX_OPEN", 2)
        source = PhotoShards(two_shards)
        before = len([*Path("/proc/self/fd").iterdir()])
        for number in [*range(7), *range(7)]:
            source.read(number)
        assert len([*Path("/proc/self/fd").iterdir()]) <= before + 2


class _Pixels(torch.utils.data.Dataset):
    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, number):
        return torch.from_numpy(self.source.read(number).pixels)


class TestRemote:
    def test_memory(self, made, tmp_path):
        system = fsspec.filesystem("memory")
        system.put(f"{made}/", "/bucket/set/", recursive=True)
        source = PhotoShards("memory://bucket/set/", cache=tmp_path)
        assert_same(source, PhotoShards(made))
        assert source.name(2) == PhotoShards(made).name(2)

    def test_file_url(self, made, tmp_path):
        assert_same(PhotoShards(f"file://{made}", cache=tmp_path), PhotoShards(made))

    def test_s3(self, made, tmp_path, monkeypatch):
        """A real S3 client, and moto's server."""
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://{host}:{port}"), ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_DEFAULT_REGION", "us-east-1"),
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        try:
            system = fsspec.filesystem("s3", skip_instance_cache=True)
            system.mkdir("bucket")
            system.put(f"{made}/", "bucket/set/", recursive=True)
            source = PhotoShards("s3://bucket/set", cache=tmp_path)
            assert_same(source, PhotoShards(made))
            assert source.name(2) == PhotoShards(made).name(2)
            loader = DataLoader(_Pixels(source), batch_size=None, num_workers=2, multiprocessing_context="fork")
            read = [pixels.numpy() for pixels in loader]
            assert all(np.array_equal(read[n], PhotoShards(made).read(n).pixels) for n in range(7))
            damaged = bytearray(system.cat("bucket/set/000000.tar"))
            damaged[2000] ^= 1
            system.pipe("bucket/set/000000.tar", bytes(damaged))
            with pytest.raises(
                PhotoError, match=r"s3://bucket/set/000000\.tar/000000000\.npy: damaged; the stored bytes"
            ):
                source.read(0)
            system.rm("bucket/set/000000.tar")
            with pytest.raises(PhotoError, match=r"000000\.tar: can't be read \(it is missing\)$"):
                source.read(1)
        finally:
            server.stop()

    def test_http(self, server, made, tmp_path):
        assert_same(PhotoShards(server[0], cache=tmp_path), PhotoShards(made))

    def test_a_photo_with_its_mask_is_one_read(self, server, tmp_path):
        url, handler = server
        source = PhotoShards(url, cache=tmp_path)
        handler.asked.clear()
        source.read(3)
        assert [(path, "bytes=" in wanted) for path, wanted in handler.asked] == [("/000000.tar", True)]

    def test_copies_the_index_once(self, server, tmp_path):
        url, handler = server
        PhotoShards(url, cache=tmp_path)
        records = [wanted for path, wanted in handler.asked if path.endswith(INDEX)]
        handler.asked.clear()
        PhotoShards(url, cache=tmp_path).read(0)
        assert len([wanted for path, wanted in handler.asked if path.endswith(INDEX)]) == len(records) - 1
        assert [path.suffix for path in tmp_path.iterdir()] == [".records"]

    def test_replaces_a_truncated_copy_of_the_index(self, server, made, tmp_path):
        PhotoShards(server[0], cache=tmp_path)
        copy = next(tmp_path.iterdir())
        copy.write_bytes(copy.read_bytes()[:20])
        assert_same(PhotoShards(server[0], cache=tmp_path), PhotoShards(made))

    def test_retries_failed_reads(self, server, made, tmp_path):
        url, handler = server
        source = PhotoShards(url, cache=tmp_path)
        handler.failures = len(storage.PAUSES)
        assert np.array_equal(source.read(1).pixels, PhotoShards(made).read(1).pixels)

    def test_too_many_failures(self, server, tmp_path):
        url, handler = server
        source = PhotoShards(url, cache=tmp_path)
        handler.failures = len(storage.PAUSES) + 1
        with pytest.raises(PhotoError, match=rf"^{url}/000000\.tar: can't be read \(503.*\), tried 4 times$"):
            source.read(1)
        assert source.read(1).pixels.dtype == np.uint8

    def test_a_server_without_answer_ends_the_run(self, server, tmp_path, monkeypatch):
        monkeypatch.setattr(storage, "PAUSES", (0.01,) * 3)
        url, handler = server
        source = PhotoShards(url, cache=tmp_path)
        handler.failures = 10**6
        for copy in (source, pickle.loads(pickle.dumps(source))):
            expected = rf"^shards: the server does not answer any more: {url}/000000\.tar: can't be read \(503"
            with pytest.raises(InputError, match=expected) as caught:
                copy.read(1)
            assert not isinstance(caught.value, PhotoError)  # training would skip one photo after the other

    def test_training_skips_a_missing_shard(self, made, tmp_path, monkeypatch):
        monkeypatch.setattr(storage, "PAUSES", (0.01,) * 3)
        system = fsspec.filesystem("memory")
        system.put(f"{made}/", "/bucket/gone/", recursive=True)
        source = PhotoShards("memory://bucket/gone", cache=tmp_path)
        system.rm("/bucket/gone/000000.tar")
        with pytest.raises(PhotoError, match=r"000000\.tar: can't be read \(it is missing\)$"):
            source.read(1)

    def test_a_server_that_serves_whole_files_only(self, server, tmp_path):
        url, handler = server
        handler.ranges = False
        with pytest.raises(
            InputError, match=r"^shards: .*shards\.index: asked for 32 bytes and got \d+: .* parts of files$"
        ):
            PhotoShards(url, cache=tmp_path)

    def test_rejects_an_unreachable_server(self, monkeypatch, tmp_path):
        monkeypatch.setattr(storage, "PAUSES", (0.01,) * 3)
        with pytest.raises(
            InputError, match=r"127\.0\.0\.1:9/shards\.index is missing, or its server can't be reached; "
        ):
            PhotoShards("http://127.0.0.1:9", cache=tmp_path)

    def test_rejects_a_url_without_shards(self, server, tmp_path):
        with pytest.raises(InputError, match=r"/nothing/shards\.index is missing, or its server can't be reached; "):
            PhotoShards(f"{server[0]}/nothing", cache=tmp_path)

    def test_a_protocol_without_its_package(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "s3fs", None)
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
        with pytest.raises(InputError, match=r"^shards: s3://bucket/set needs a .*: pip install 'lookcast\[s3\]'$"):
            PhotoShards("s3://bucket/set", cache=tmp_path)

    def test_an_unknown_protocol(self, tmp_path):
        with pytest.raises(InputError, match=r"^shards: gopher://bucket: Protocol not known: gopher"):
            PhotoShards("gopher://bucket", cache=tmp_path)

    def test_checks_the_sizes_of_many_shards_before_reads(self, made, tmp_path, monkeypatch):
        monkeypatch.setattr(shards, "MAX_CHECKED_AT_ONCE", 0)
        system = fsspec.filesystem("memory")
        system.put(f"{made}/", "/bucket/cut/", recursive=True)
        source = PhotoShards("memory://bucket/cut", cache=tmp_path)
        system.pipe("/bucket/cut/000000.tar", system.cat("/bucket/cut/000000.tar")[:-1])
        with pytest.raises(InputError, match=r"000000\.tar has \d+ bytes, but the index expects \d+;") as caught:
            source.read(0)
        assert not isinstance(caught.value, PhotoError)  # training would skip it


class TestRejects:
    def test_missing_folder(self, tmp_path):
        with pytest.raises(InputError, match=r"^shards: .*nothing does not exist, or is no folder$"):
            PhotoShards(tmp_path / "nothing")

    def test_a_folder_of_something_else(self, photos):
        with pytest.raises(
            InputError, match=r"^shards: .*shards\.index is missing .*; lookcast shard writes the index last"
        ):
            PhotoShards(photos)

    def test_index_cut_at_any_length(self, copy):
        whole = (copy / INDEX).read_bytes()
        for length in [*range(48), *range(48, len(whole), 7), len(whole) - 1]:
            (copy / INDEX).write_bytes(whole[:length])
            with pytest.raises(InputError, match=r"^shards: .*shards\.index: is (cut or damaged; copy it|no index of)"):
                PhotoShards(copy)

    def test_index_with_a_changed_byte(self, copy):
        """Damage of the header is refused at once, damage of a record when its photo is read; no photo is wrong."""
        whole = (copy / INDEX).read_bytes()
        right = PhotoShards(copy)
        expected = [right.read(number).pixels for number in range(7)]
        start, end = right.header.records_start, right.header.names_start
        for place in [*range(0, start, 5), *range(start, end)]:
            (copy / INDEX).write_bytes(whole[:place] + bytes([whole[place] ^ 5]) + whole[place + 1 :])
            if place < start and not 28 <= place < 32:  # four bytes are reserved
                with pytest.raises(InputError, match=r"shards\.index: (is no index|is cut or damaged|has format)"):
                    PhotoShards(copy)
            elif place >= start:
                source = PhotoShards(copy)
                for number in range(7):
                    if (place - start) // 16 == number:
                        with pytest.raises(PhotoError, match=rf"000000\.tar/00000000{number}\.npy: damaged"):
                            source.read(number)
                    elif place % 16 == 0:
                        assert np.array_equal(source.read(number).pixels, expected[number])

    def test_newer_format(self, copy):
        data = bytearray((copy / INDEX).read_bytes())
        data[16] = VERSION + 1
        (copy / INDEX).write_bytes(data)
        with pytest.raises(InputError, match=rf"shards\.index: has format {VERSION + 1}, this lookcast reads up to"):
            PhotoShards(copy)

    @pytest.mark.parametrize(("key", "value"), [("records_sha256", "../escaped"), ("kind", "exe"), ("shards", 2**40)])
    def test_foreign_values(self, copy, key, value):
        """Anybody can write an index with a correct checksum, and the hash of the records becomes a file name."""
        whole = (copy / INDEX).read_bytes()
        header = PhotoShards(copy).header
        fields = json.loads(whole[32 : header.records_start - 24 * header.description.shards])
        text = json.dumps({**fields, key: value}).encode()
        text += b" " * (-len(text) % 8)
        table = whole[header.records_start - 24 * header.description.shards : header.records_start]
        front = struct.pack("<4I", VERSION, zlib.crc32(text + table), len(text), 0)
        (copy / INDEX).write_bytes(whole[:16] + front + text + table + whole[header.records_start :])
        with pytest.raises(InputError, match=r"^shards: .*shards\.index: is cut or damaged; copy it again"):
            PhotoShards(copy)

    def test_foreign_index(self, copy):
        for text in (b"", b"PK\3\4 something else, which is rather long as such files are"):
            (copy / INDEX).write_bytes(text)
            with pytest.raises(InputError, match=r"shards\.index: is no index of shards$"):
                PhotoShards(copy)

    def test_shard_cut_at_any_length(self, copy):
        whole = (copy / "000000.tar").read_bytes()
        for length in (0, 1, 511, 512, len(whole) // 2, len(whole) - 10240, len(whole) - 1):
            (copy / "000000.tar").write_bytes(whole[:length])
            with pytest.raises(
                InputError, match=rf"000000\.tar has {length} bytes, but the index expects {len(whole)};"
            ):
                PhotoShards(copy)

    def test_missing_shard(self, copy):
        (copy / "000000.tar").unlink()
        with pytest.raises(InputError, match=r"^shards: .*000000\.tar is missing"):
            PhotoShards(copy)

    def test_shard_cut_while_it_is_read(self, copy):
        source = PhotoShards(copy)
        os.truncate(copy / "000000.tar", 9000)
        assert source.read(0).pixels.shape[2] == 3
        with pytest.raises(
            PhotoError, match=r"000000\.tar/000000006\.npy: damaged; the stored bytes do not match the index$"
        ):
            source.read(6)

    @pytest.mark.parametrize("format", ["npy", "jpg", "png"])
    def test_zeros_at_the_end_of_an_unfinished_copy(self, tmp_path, photos, masks, format):
        out = save_shards(tmp_path / "shards", photos, masks, format)
        source = PhotoShards(out)
        right = [source.read(number) for number in range(7)]
        whole = (out / "000000.tar").read_bytes()
        records = np.array(source._records, int)
        last = [512 * block + -(-size // 512) * 512 + 512 + mask for block, size, mask, _ in records]
        for begin in range(0, len(whole), 1777):
            (out / "000000.tar").write_bytes(whole[:begin].ljust(len(whole), b"\0"))
            damaged = PhotoShards(out)
            for number in range(7):
                if last[number] <= begin:
                    assert np.array_equal(damaged.read(number).pixels, right[number].pixels)
                elif whole[begin : last[number]].strip(b"\0"):
                    with pytest.raises(PhotoError, match="damaged"):
                        damaged.read(number)

    def test_swapped_shards(self, two_shards):
        sizes = {}
        for path in sorted(two_shards.glob("*.tar")):
            sizes.setdefault(path.stat().st_size, []).append(path)
        first, second, *_ = next(paths for paths in sizes.values() if len(paths) > 1)
        source = PhotoShards(two_shards)
        first.rename(two_shards / "x"), second.rename(first), (two_shards / "x").rename(second)
        wrong = [number for number in range(7) if source._shard_of(number) == int(first.stem)]
        with pytest.raises(PhotoError, match="damaged; the stored bytes"):
            PhotoShards(two_shards).read(wrong[0])
