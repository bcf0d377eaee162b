"""`lookcast stylize`."""

import argparse
import os
from pathlib import Path

from lookcast.cli.options import add_look


def stylize(argv: list[str]) -> int:
    """`lookcast stylize`."""
    args = _parser().parse_intermixed_args(argv)
    import logging

    from lookcast.inference.batch import FileOptions, set_up_styles, stylize_file, stylize_files
    from lookcast.inference.devices import pick_devices
    from lookcast.inference.jobs import pending_jobs, plan_jobs, rank_jobs
    from lookcast.inference.stylizer import check_strength, load

    logging.basicConfig(format="lookcast: %(message)s")
    check_strength(args.strength)
    jobs = plan_jobs(args.photos, args.out, args.overwrite, args.content_mask, args.save_masks)
    rank, count = args.share or (int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    single = len(jobs) == 1
    share = rank_jobs(jobs, rank, count)
    jobs = pending_jobs(share) if args.resume else share
    files = FileOptions(args.quality, args.subsampling, args.max_pixels)
    stylizers = [load(args.checkpoint, device, args.precision) for device in pick_devices(args.devices)]
    masks = (args.content_mask, args.auto_masks, args.save_masks)
    auto_masks = set_up_styles(stylizers, args.style, args.style_mask, args.weights, *masks, args.max_pixels)
    if single and jobs:
        stylize_file(stylizers[0], jobs[0], args.strength, auto_masks, files)
        print(jobs[0].target)
        return 0
    failures = stylize_files(stylizers, jobs, args.strength, auto_masks, args.jobs, files)
    there = f", {len(share) - len(jobs)} were there already" if args.resume else ""
    part = f" (part {rank} of {count})" if count > 1 else ""
    print(f"{len(jobs) - len(failures)} of {len(share)} photos written to {args.out}{there}{part}")
    return 1 if failures else 0


def _share(text: str) -> tuple[int, int]:
    rank, count = text.split("/")
    return int(rank), int(count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lookcast stylize",
        description="Give photos the look of other photos, or the single look of a checkpoint; EXIF, colour profile "
        "and transparency are kept. Masks are PNGs in nine colours, one colour for one kind of region in both photos.",
        epilog="Exit code: 0; 1 when some photos of many could not be read and were skipped; 2 for bad input.",
    )
    parser.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTO", help="photo, or folder of photos (that folder only)"
    )
    add_look(parser)
    parser.add_argument("--content-mask", type=Path, metavar="PNG", help="regions of the photo; for several, a folder")
    parser.add_argument(
        "--style-mask", action="append", type=Path, default=[], metavar="PNG", help="regions of the style, one for each"
    )
    parser.add_argument(
        "--auto-masks",
        choices=("clusters", "torchvision", "transformers"),
        help="find the regions of both photos: without labels, or by a segmentation network that is downloaded",
    )
    parser.add_argument(
        "--save-masks", type=Path, metavar="FOLDER", help="write the masks found, to look at or correct"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="file for one photo, folder for several")
    parser.add_argument("--strength", type=float, default=1.0, metavar="0..1", help="1, the default, is the full look")
    parser.add_argument(
        "--devices",
        "--device",
        default="auto",
        help="auto (default: every GPU, else the CPU), cpu, cuda, cuda:1, mps; several: cuda:0,cuda:1",
    )
    parser.add_argument("--quality", type=int, default=95, help="of JPEG, WebP and HEIC, 1 to 100 (default: 95)")
    parser.add_argument(
        "--subsampling", default="4:4:4", help="of chroma in JPEG: 4:4:4 (default), 4:2:2 or 4:2:0, which is smaller"
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=200_000_000,
        metavar="N",
        help="refuse photos of more pixels, which small files may claim (default: 200000000)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32"),
        default="auto",
        help="float32: the same to a level on every machine; auto (default): faster, a tenth of a level less exact",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="photos at a time (default: one for each core, at most 8)"
    )
    parser.add_argument("--resume", action="store_true", help="leave out photos whose file is there and newer")
    parser.add_argument(
        "--share",
        type=_share,
        metavar="I/N",
        help="only part I of N, counted from 0, for several machines; under torchrun its own rank's by default",
    )
    parser.add_argument("--overwrite", action="store_true", help="allow writing over a photo that is read")
    return parser
