"""The command `lookcast stylize`."""

import argparse
import os
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from lookcast.cli.options import SEGMENTERS, add_look, add_overwrite, count, parse_intermixed, path, word
from lookcast.cli.streams import say, set_up_logging

if TYPE_CHECKING:
    from lookcast.inference.jobs import Job


def stylize(argv: list[str]) -> int:
    """Run `lookcast stylize`."""
    args = parse_intermixed(_parser(), argv, "photos")
    from lookcast.inference.batch import stylize_files
    from lookcast.inference.devices import pick_devices
    from lookcast.inference.jobs import pending_jobs, plan_jobs, rank_jobs
    from lookcast.inference.photo_files import FileOptions, read_styles, stylize_file
    from lookcast.inference.styles import check_strength
    from lookcast.inference.stylizer import load

    set_up_logging()
    check_strength(args.strength)
    _check_combinations(args)
    jobs = plan_jobs(args.photos, args.out, args.content_mask)
    _check_files(args, jobs)
    single = len(jobs) == 1
    rank, processes = _part(args.share)
    part = rank_jobs(jobs, rank, processes)
    jobs = pending_jobs(part) if args.resume else part
    files = FileOptions(args.quality, args.subsampling, args.max_pixels, args.lenient)
    stylizers = [load(args.checkpoint, device, args.precision) for device in pick_devices(args.devices)]
    auto_masks = None
    if args.style:
        styles = read_styles(args.style, args.style_mask, args.weights, args.max_pixels)
        for stylizer in stylizers:
            stylizer.set_style(styles)
        if args.auto_masks is not None:
            from lookcast.segmenters import open_segmenter
            from lookcast.segmenters.auto_masks import AutoMasks

            auto_masks = AutoMasks(open_segmenter(args.auto_masks, args.segmenter_weights), styles, args.save_masks)
    if single and jobs:
        code = int(stylize_file(stylizers[0], jobs[0], args.strength, auto_masks, files))
        say(str(jobs[0].target))
        return code
    failures, damaged = stylize_files(stylizers, jobs, args.strength, auto_masks, args.jobs, files)
    there = f", {len(part) - len(jobs)} were there already" if args.resume else ""
    share = f" (part {rank} of {processes})" if processes > 1 else ""
    say(f"{len(jobs) - len(failures)} of {len(part)} photos written to {args.out}{there}{share}")
    return 1 if failures or damaged else 0


def _check_combinations(args: argparse.Namespace) -> None:
    """Refuse invalid combinations of options; messages name the options as on the command line."""
    from lookcast.checks import InputError
    from lookcast.ops.regions import check_mask_pairing

    style_mask = args.style_mask or None
    if not args.style:
        for option, value in (
            ("--style-mask", style_mask),
            ("--weights", args.weights),
            ("--auto-masks", args.auto_masks),
        ):
            if value is not None:
                raise InputError(f"{option}: needs --style")
        if args.content_mask is not None:
            raise InputError("--content-mask: needs --style and --style-mask")
    for option, value in (("--save-masks", args.save_masks), ("--segmenter-weights", args.segmenter_weights)):
        if value is not None and args.auto_masks is None:
            raise InputError(f"{option}: needs --auto-masks")
    if args.auto_masks is not None and (style_mask is not None or args.content_mask is not None):
        raise InputError("--auto-masks: finds masks, so it excludes --content-mask and --style-mask")
    check_mask_pairing(args.content_mask, style_mask, ("--content-mask", "--style-mask"))


def _check_files(args: argparse.Namespace, jobs: "list[Job]") -> None:
    """Refuse output files that would be written twice, or that would overwrite an input."""
    from lookcast.checkpoints import find_checkpoint
    from lookcast.inference.jobs import check_distinct, check_distinct_stems, check_inputs_kept, check_place

    written = [(job.source, job.target) for job in jobs]
    if args.save_masks is not None:
        from lookcast.segmenters.auto_masks import saved_masks  # here, because the package imports all of kornia

        check_distinct_stems([job.source for job in jobs])
        masks = [(job.source, saved_masks(args.save_masks, job.source.stem, len(args.style))) for job in jobs]
        written += [(Path(f"the mask of {source}"), target) for source, targets in masks for target in targets]
        for _, target in written[len(jobs) :]:
            check_place(target)
    check_distinct(written)
    if args.overwrite:
        return
    read = chain(
        (("one of the photos to read", job.source) for job in jobs),
        (("the mask of one of the photos", job.mask) for job in jobs if job.mask is not None),
        (("a style photo", style) for style in args.style),
        (("the mask of a style photo", mask) for mask in args.style_mask),
        (("the weights of the segmenter", weights) for weights in (args.segmenter_weights,) if weights is not None),
        [("the checkpoint", find_checkpoint(args.checkpoint))],
    )
    check_inputs_kept((target for _, target in written), read)


def _part(share: str | None) -> tuple[int, int]:
    """Return a pair: the index of this process and the number of processes, which divide the photos among themselves.

    The pair comes from `--share` if the option is given, otherwise from the environment variables of torchrun. Without
    the option and the variables, the pair is (0, 1).
    """
    from lookcast.checks import InputError

    rank, processes = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if share is not None:
        name, text, expected = "--share", share, "I/N with I from 0 to N - 1"
    elif rank is None and processes is None:
        return 0, 1
    else:
        name, text = "RANK and WORLD_SIZE", f"{rank}/{processes}"
        expected = "whole numbers I/N with I from 0 to N - 1, which torchrun sets; --share 0/1 ignores them"
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise InputError(f"{name}: expected {expected}, got {text}")
    return int(part), int(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lookcast stylize",
        usage="%(prog)s [OPTION ...] PHOTO [PHOTO ...] -o OUT",
        description="Give photos the look of other photos, or the single look of a checkpoint; EXIF, colour profile "
        "and transparency are kept. Masks are PNGs in nine colours, one colour for one kind of region in both photos. "
        "Words after -- are photos, even if they begin with a dash.",
        epilog="Exit code: 0; 1 when some of several photos were skipped or a photo is damaged; 2 for bad input.",
    )
    parser.add_argument(
        "photos",
        nargs="*",
        type=path,
        metavar="PHOTO",
        help="photo, or folder of photos (folders inside it do not count)",
    )
    add_look(parser)
    parser.add_argument(
        "--content-mask", type=path, metavar="PNG", help="mask of the photo; for several, a folder of masks"
    )
    parser.add_argument(
        "--style-mask",
        action="append",
        type=path,
        default=[],
        metavar="PNG",
        help="mask of the style, one for each --style",
    )
    parser.add_argument(
        "--auto-masks",
        choices=SEGMENTERS,
        help="find the regions of both photos: by clustering, or by a segmentation network, which is downloaded",
    )
    parser.add_argument(
        "--segmenter-weights",
        type=path,
        metavar="FILE",
        help="local weights of the segmentation network: a file for torchvision, a folder for transformers",
    )
    parser.add_argument(
        "--save-masks",
        type=path,
        metavar="FOLDER",
        help="write the masks of --auto-masks to FOLDER, to inspect or correct",
    )
    parser.add_argument("-o", "--out", type=path, required=True, help="file for one photo, folder for several")
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="0..1", help="strength of the look (default: 1, full)"
    )
    parser.add_argument(
        "--devices",
        "--device",
        default="auto",
        type=word,
        help="auto (default: every GPU, else the CPU), cpu, cuda, cuda:1, mps; several: cuda:0,cuda:1",
    )
    parser.add_argument(
        "--quality", type=int, default=95, help="quality of JPEG, WebP and HEIC, 1 to 100 (default: 95)"
    )
    parser.add_argument(
        "--subsampling",
        default="4:4:4",
        help="chroma subsampling of JPEG: 4:4:4 (default), 4:2:2 or 4:2:0 (small files)",
    )
    parser.add_argument(
        "--max-pixels",
        type=count,
        default=200_000_000,
        metavar="N",
        help="refuse photos whose header claims more pixels (default: 200000000)",
    )
    parser.add_argument(
        "--lenient", action="store_true", help="stylize the readable part of a damaged photo, with a line on stderr"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32"),
        default="auto",
        help="float32: equal within 1 of 255 on all machines; auto (default): faster, less exact by 0.1 of 255",
    )
    parser.add_argument(
        "--jobs", type=count, metavar="N", help="number of photos at a time (default: one for each core, at most 8)"
    )
    parser.add_argument("--resume", action="store_true", help="skip photos whose output exists and is newer")
    parser.add_argument(
        "--share",
        metavar="I/N",
        help="stylize only part I of N, counted from 0, to use several machines (under torchrun: RANK/WORLD_SIZE)",
    )
    add_overwrite(parser)
    return parser
