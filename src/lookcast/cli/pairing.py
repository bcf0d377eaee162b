"""Options, and checks of options, that `lookcast stylize` and `lookcast fit` share."""

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from lookcast.cli.options import SEGMENTERS, add_max_pixels, path

if TYPE_CHECKING:
    from lookcast.inference.jobs import Job
    from lookcast.segmenters.auto_masks import AutoMasks
    from lookcast.structures import StyleInput


def add_masks(parser: argparse.ArgumentParser) -> None:
    """Add the options that give masks, or that find them."""
    parser.add_argument(
        "--content-mask", type=path, metavar="PNG", help="mask of the photo; for several photos, a folder of masks"
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
        help="find the regions of both photos: by the shipped network, by clustering, or by a downloaded network",
    )
    parser.add_argument(
        "--segmenter-weights",
        type=path,
        metavar="FILE",
        help="local weights of the segmentation network: a file for scenes and torchvision, a folder for transformers",
    )
    parser.add_argument(
        "--save-masks",
        type=path,
        metavar="FOLDER",
        help="write the masks of --auto-masks to FOLDER, to inspect or correct",
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the options for reading and writing photo files."""
    parser.add_argument(
        "--quality", type=int, default=95, help="quality of JPEG, WebP and HEIC, 1 to 100 (default: 95)"
    )
    parser.add_argument(
        "--subsampling",
        default="4:4:4",
        help="chroma subsampling of JPEG: 4:4:4 (default), 4:2:2 or 4:2:0 (small files)",
    )
    add_max_pixels(parser)
    parser.add_argument(
        "--lenient", action="store_true", help="stylize the readable part of a damaged photo, with a line on stderr"
    )


def open_auto_masks(args: argparse.Namespace, styles: "Sequence[StyleInput]") -> "AutoMasks | None":
    """Return the function that finds the masks of a photo and of the styles; None without `--auto-masks`."""
    if args.auto_masks is None:
        return None
    from lookcast.segmenters import open_segmenter
    from lookcast.segmenters.auto_masks import AutoMasks

    return AutoMasks(open_segmenter(args.auto_masks, args.segmenter_weights), styles, args.save_masks)


def check_masks(args: argparse.Namespace) -> None:
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


def check_files(args: argparse.Namespace, jobs: "list[Job]", further: Sequence[tuple[Path, Path]] = ()) -> None:
    """Refuse output files that would be written twice, or that would overwrite an input.

    Args:
        args: the options.
        jobs: the photos to read and the outputs to write.
        further: other files to write: pairs (what the file is, for messages; the file).
    """
    from lookcast.checkpoints import find_checkpoint
    from lookcast.inference.jobs import check_distinct, check_distinct_stems, check_inputs_kept, check_place

    written = [(job.source, job.target) for job in jobs]
    if args.save_masks is not None:
        from lookcast.segmenters.auto_masks import saved_masks  # here, because the package imports all of kornia

        check_distinct_stems([job.source for job in jobs])
        masks = [(job.source, saved_masks(args.save_masks, job.source.stem, len(args.style))) for job in jobs]
        written += [(Path(f"the mask of {source}"), target) for source, targets in masks for target in targets]
    written += further
    for _, target in written[len(jobs) :]:  # `plan_jobs` has checked the places of the photos
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
