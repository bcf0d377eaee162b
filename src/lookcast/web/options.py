"""Settings of the server."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits that keep the server's memory, disk and time bounded.

    Attributes:
        upload_bytes: largest file that a visitor may upload.
        max_pixels: largest number of pixels of a photo. A larger photo is refused before it is decoded.
        preview_side: longest side of a preview, in pixels.
        crop_side: longest side of a crop at full size, in pixels.
        photos: number of photos that a visit may hold, without the photos of its batches.
        results: number of results that a visit may hold. A further result replaces the oldest one.
        batch_photos: number of photos in the batches of a visit.
        visits: number of visits at a time.
        visit_bytes: bytes on disk of one visit.
        total_bytes: bytes on disk of all visits.
        cache_bytes: bytes of decoded photos in memory.
        refine: largest number of refinement steps.
        visit_seconds: seconds without a request, after which a visit ends and its files are deleted.
        requests_per_second: requests per second that one visitor may make on average.
        burst: number of requests that one visitor may make at once.
        waiting: number of computations that may wait for a free worker.
    """

    upload_bytes: int = 256 << 20
    max_pixels: int = 100_000_000
    preview_side: int = 2048
    crop_side: int = 2048
    photos: int = 100
    results: int = 50
    batch_photos: int = 500
    visits: int = 1000
    visit_bytes: int = 4 << 30
    total_bytes: int = 16 << 30
    cache_bytes: int = 512 << 20
    refine: int = 100
    visit_seconds: float = 3600.0
    requests_per_second: float = 50.0
    burst: int = 200
    waiting: int = 100


class WebOptions(NamedTuple):
    """Settings of the server.

    Attributes:
        host: address that the server listens on.
        checkpoints: paths of further checkpoints that visitors may choose, beside the checkpoints that ship.
        device: see `inference.devices.pick_device`.
        auth: `USER:PASSWORD` that visitors must enter; None lets every visitor in.
        names: host names under which the server may be called, beside `localhost` and numeric addresses.
        workers: number of computations at a time; None uses one for each core, at most four.
        limits: see `Limits`.
    """

    host: str = "127.0.0.1"
    checkpoints: tuple[str, ...] = ()
    device: str = "auto"
    auth: str | None = None
    names: tuple[str, ...] = ()
    workers: int | None = None
    limits: Limits = Limits()
