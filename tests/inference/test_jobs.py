import os

import pytest

from lookcast.checks import InputError
from lookcast.inference.jobs import Job, pending_jobs, plan_jobs, rank_jobs
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
        assert str(caught.value) == f"content-mask: {photos[1]} has none, {missing} does not exist"

    def test_rejects_one_mask_for_several_photos(self, tmp_path):
        photos = [save_photo(tmp_path / "in" / name) for name in ("a.jpg", "b.jpg")]
        mask = save_mask(tmp_path / "mask.png", SIZE)
        for given in (photos, [tmp_path / "in"]):
            with pytest.raises(InputError) as caught:
                plan_jobs(given, tmp_path / "out", masks=mask)
            assert str(caught.value) == f"content-mask: {mask} is one file; several photos need a folder of masks"

    def test_a_mask_may_be_written_over_no_photo(self, tmp_path):
        photo = save_photo(tmp_path / "a.png")
        with pytest.raises(InputError, match="is one of the photos to read"):
            plan_jobs([photo], tmp_path, masks=save_mask(tmp_path / "masks" / "a.png", SIZE).parent)

    def test_hidden_files_are_no_photos(self, tmp_path):
        photo = save_photo(tmp_path / "a.jpg")
        save_photo(tmp_path / ".a.x81z.jpg")
        save_photo(tmp_path / "._a.jpg")
        assert [job.source for job in plan_jobs([tmp_path], tmp_path / "out")] == [photo]

    def test_the_same_stem_twice(self, tmp_path):
        photos = [save_photo(tmp_path / name) for name in ("a.jpg", "a.png")]
        assert [job.target.name for job in plan_jobs(photos, tmp_path / "out")] == ["a.jpg", "a.png"]


class TestLeftToDo:
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


class TestOwnShare:
    @pytest.mark.parametrize("count", [1, 2, 3, 20])
    def test_every_photo_is_in_one_part(self, tmp_path, count):
        jobs = [Job(tmp_path / f"{i}.png", tmp_path / "out" / f"{i}.png") for i in range(10)]
        parts = [rank_jobs(jobs, rank, count) for rank in range(count)]
        assert sorted(job for part in parts for job in part) == sorted(jobs)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1

    @pytest.mark.parametrize(("rank", "count"), [(2, 2), (-1, 2), (0, 0)])
    def test_rejects_a_part_that_is_none(self, rank, count):
        with pytest.raises(InputError, match=rf"^--share: expected I/N .*, got {rank}/{count}$"):
            rank_jobs([], rank, count)
