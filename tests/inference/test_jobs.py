import os
from pathlib import Path

import pytest

from lookcast.checks import InputError
from lookcast.inference.jobs import (
    Job,
    check_distinct,
    check_distinct_stems,
    check_inputs_kept,
    pending_jobs,
    plan_jobs,
    rank_jobs,
)
from tests.photo_files import save_photo
from tests.runs import save_mask

SIZE = (96, 64)


class TestPlanJobs:
    def test_no_masks(self, tmp_path):
        photo = save_photo(tmp_path / "a.png")
        assert plan_jobs([photo], tmp_path / "out.png") == [Job(photo, tmp_path / "out.png", None)]

    def test_a_mask_for_one_photo(self, tmp_path):
        photo, mask = save_photo(tmp_path / "a.jpg"), save_mask(tmp_path / "regions.png", SIZE)
        assert plan_jobs([photo], tmp_path / "out.png", masks=mask) == [Job(photo, tmp_path / "out.png", mask)]

    def test_a_folder_of_masks(self, tmp_path):
        photos = [save_photo(tmp_path / "in" / name) for name in ("a.jpg", "b.PNG")]
        masks = [save_mask(tmp_path / "masks" / name, SIZE) for name in ("a.png", "b.png", "c.png")]
        for given in (photos, [tmp_path / "in"]):
            jobs = plan_jobs(given, tmp_path / "out", masks=tmp_path / "masks")
            assert [job.mask for job in jobs] == masks[:2]
            assert [job.source for job in jobs] == photos
        assert plan_jobs(photos[1:], tmp_path / "out.png", masks=tmp_path / "masks")[0].mask == masks[1]

    def test_rejects_a_missing_mask(self, tmp_path):
        photos = [save_photo(tmp_path / "in" / name) for name in ("a.jpg", "b.jpg")]
        save_mask(tmp_path / "masks" / "a.png", SIZE)
        with pytest.raises(InputError) as caught:
            plan_jobs(photos, tmp_path / "out", masks=tmp_path / "masks")
        missing = tmp_path / "masks" / "b.png"
        assert str(caught.value) == f"content-mask: {photos[1]} has no mask, {missing} does not exist"

    def test_rejects_one_mask_for_several_photos(self, tmp_path):
        photos = [save_photo(tmp_path / "in" / name) for name in ("a.jpg", "b.jpg")]
        mask = save_mask(tmp_path / "mask.png", SIZE)
        for given in (photos, [tmp_path / "in"]):
            with pytest.raises(InputError) as caught:
                plan_jobs(given, tmp_path / "out", masks=mask)
            assert str(caught.value) == f"content-mask: {mask} is one file; several photos need a folder of masks"

    def test_hidden_files_are_no_photos(self, tmp_path):
        photo = save_photo(tmp_path / "a.jpg")
        save_photo(tmp_path / ".a.x81z.jpg")
        save_photo(tmp_path / "._a.jpg")
        assert [job.source for job in plan_jobs([tmp_path], tmp_path / "out")] == [photo]

    def test_one_place_for_two_photos(self, tmp_path):
        photos = [save_photo(tmp_path / name / "a.png") for name in ("1", "2")]
        with pytest.raises(InputError, match=r"1/a\.png and .*2/a\.png would both be written to .*out/a\.png$"):
            plan_jobs(photos, tmp_path / "out")

    @pytest.mark.parametrize(
        ("out", "reason"),
        [
            ("file", "file/a.png: can't be written, because {}/file is no folder"),
            ("file/out.png", "file/out.png: can't be written, because {}/file is no folder"),
            ("file/below/that", "file/below/that/a.png: can't be written, because {}/file is no folder"),
            ("pipe.png", "pipe.png: can't be written, because it is no regular file"),
            ("a" * 300, f"{'a' * 300}/a.png: can't be written (File name too long)"),
            ("a" * 300 + ".png", f"{'a' * 300}.png: can't be written (File name too long)"),
        ],
    )
    def test_rejects_a_target_that_no_folder_can_hold(self, tmp_path, out, reason):
        photo = save_photo(tmp_path / "in" / "a.png")
        (tmp_path / "file").write_text("no folder")
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(InputError) as caught:
            plan_jobs([photo], tmp_path / out)
        assert str(caught.value) == f"{tmp_path}/{reason.format(tmp_path)}"

    def test_names_that_are_too_long_are_left_to_their_reader(self, tmp_path):
        photo = tmp_path / ("b" * 300 + ".png")
        assert plan_jobs([photo], tmp_path / "out.png") == [Job(photo, tmp_path / "out.png")]

    def test_the_same_stem_twice(self, tmp_path):
        photos = [save_photo(tmp_path / name) for name in ("a.jpg", "a.png")]
        assert [job.target.name for job in plan_jobs(photos, tmp_path / "out")] == ["a.jpg", "a.png"]


class TestCheckDistinct:
    def test_known_value(self, tmp_path):
        check_distinct([(Path("a"), tmp_path / "a"), (Path("b"), tmp_path / "b")])

    def test_one_file_by_two_paths(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path)
        for other in (tmp_path / "x" / ".." / "a", tmp_path / "link" / "a"):
            with pytest.raises(InputError, match=r"^one and two would both be written to "):
                check_distinct([(Path("one"), tmp_path / "a"), (Path("two"), other)])

    def test_stems(self, tmp_path):
        with pytest.raises(InputError, match=r"^a\.png and b/a\.jpg would share the mask a\.png$"):
            check_distinct_stems([Path("a.png"), Path("b/a.jpg")])


class TestCheckInputsKept:
    @pytest.fixture
    def style(self, tmp_path):
        return save_photo(tmp_path / "style.png")

    def test_other_files(self, tmp_path, style):
        check_inputs_kept([tmp_path / "out.png", save_photo(tmp_path / "older.png")], [("a style", style)])
        check_inputs_kept([tmp_path / "out.png"], [("a style", tmp_path / "missing.png")])

    @pytest.mark.parametrize("way", ["itself", "another spelling", "symbolic link", "hard link", "link to its folder"])
    def test_rejects(self, tmp_path, style, way):
        if way == "symbolic link":
            (tmp_path / "out.png").symlink_to(style)
        elif way == "hard link":
            (tmp_path / "out.png").hardlink_to(style)
        elif way == "link to its folder":
            (tmp_path / "folder").symlink_to(tmp_path)
        out = {
            "itself": style,
            "another spelling": tmp_path / "." / ".." / tmp_path.name / "style.png",
            "link to its folder": tmp_path / "folder" / "style.png",
        }.get(way, tmp_path / "out.png")
        with pytest.raises(InputError) as caught:
            check_inputs_kept([tmp_path / "else.png", out], [("a style photo", style)])
        assert str(caught.value) == f"{out}: is a style photo; --overwrite allows writing over it"


class TestPendingJobs:
    def test_known_value(self, tmp_path):
        photos = [save_photo(tmp_path / f"{name}.png") for name in "abc"]
        jobs = plan_jobs(photos, tmp_path / "out")
        assert pending_jobs(jobs) == jobs
        for job, age in zip(jobs, (-10, 10), strict=False):  # b's photo has changed since
            save_photo(job.target)
            os.utime(job.source, (0, job.target.stat().st_mtime + age))
        assert pending_jobs(jobs) == jobs[1:]

    def test_a_photo_that_is_gone_is_left(self, tmp_path):
        # Whoever reads it says so.
        jobs = [Job(tmp_path / "no.png", tmp_path / "out.png")]
        assert pending_jobs(jobs) == jobs


class TestRankJobs:
    @pytest.mark.parametrize("count", [1, 2, 3, 20])
    def test_every_photo_is_in_one_part(self, tmp_path, count):
        jobs = [Job(tmp_path / f"{i}.png", tmp_path / "out" / f"{i}.png") for i in range(10)]
        parts = [rank_jobs(jobs, rank, count) for rank in range(count)]
        assert sorted(job for part in parts for job in part) == sorted(jobs)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
