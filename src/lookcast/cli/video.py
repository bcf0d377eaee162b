"""Clips in `lookcast stylize`."""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lookcast.cli.options import word
from lookcast.cli.pairing import check_files
from lookcast.cli.streams import say

if TYPE_CHECKING:
    from fractions import Fraction

    from lookcast.inference.jobs import Job

STEADY = ("smooth", "shot", "off")
_OF_PHOTOS = (("--auto-masks", "auto_masks"), ("--refine", "refine"))
_OF_CLIPS = ("steady", "codec", "crf", "preset", "deinterlace", "rate")


def add_clips(parser: argparse.ArgumentParser) -> None:
    """Add the options for clips."""
    clips = parser.add_argument_group("clips", "Clips are video files, image sequences such as frames/%%05d.png, and "
                                      "folders of frames if OUT is a clip.")  # fmt: skip
    clips.add_argument(
        "--steady",
        choices=STEADY,
        help="the look over time: smoothed (default), one for each shot, or of each frame alone",
    )
    clips.add_argument(
        "--codec", type=word, help="h264, h265, av1, vp9, prores, or an encoder of FFmpeg (default: as in the clip)"
    )
    clips.add_argument("--crf", type=float, metavar="N", help="quality, in the encoder's own terms")
    clips.add_argument("--preset", type=word, help="speed of encoding, in the encoder's own terms")
    clips.add_argument("--deinterlace", action="store_true", help="make whole frames of interlaced fields")
    clips.add_argument("--rate", type=rate, metavar="FPS", help="frames per second of an image sequence (default: 25)")


def rate(text: str) -> "Fraction":
    """Convert an argument to frames per second, such as 25, 23.976 or 24000/1001."""
    from fractions import Fraction  # here, because its import takes 3 ms, and `--help` does not need it

    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"expected frames per second, such as 25 or 24000/1001, got {text!r}")
    return value


def pick_clips(args: argparse.Namespace) -> "list[Job]":
    """Take the clips out of `args.photos`, and return what is to be done with them.

    Raises:
        InputError: a clip or its output is invalid, or an option does not suit clips or photos.
    """
    from lookcast.checks import InputError
    from lookcast.inference.video.jobs import check_frames_kept, part_path, plan_clips, split_clips, writes_images

    given = args.photos
    clips, args.photos = split_clips(given, args.out, args.steady is not None)
    if not clips:
        for name in _OF_CLIPS:
            if getattr(args, name):
                raise InputError(f"--{name}: only for clips, and there are none")
        return []
    for option, name in _OF_PHOTOS:
        if getattr(args, name):
            raise InputError(f"{option}: only for photos, and {clips[0]} is a clip")
    jobs = plan_clips(clips, args.out, args.content_mask, given == clips and len(clips) == 1)
    parts = [job for job in jobs if not writes_images(job.target)]
    check_files(args, jobs, [(Path(f"the first part of {job.source}"), part_path(job.target)) for job in parts])
    check_frames_kept(jobs, [] if args.overwrite else [*args.style, *args.style_mask])
    return jobs


def stylize_clips(args: argparse.Namespace, planned: "list[Job]", rank: int, processes: int) -> int:
    """Stylize clips one after the other, and return the exit code.

    Args:
        args: the options.
        planned: the clips of all processes.
        rank: index of this process, from 0.
        processes: number of processes, which divide the clips among themselves.

    Raises:
        InputError: PyAV is not installed, the look or a setting is invalid, or the only clip fails.
    """
    from lookcast.checks import InputError

    if find_spec("av") is None:
        raise InputError(f"{planned[0].source}: clips need PyAV; pip install 'lookcast[video]'")
    from lookcast.inference.devices import pick_devices
    from lookcast.inference.jobs import pending_jobs, rank_jobs
    from lookcast.inference.photo_files import read_styles
    from lookcast.inference.stylizer import load
    from lookcast.inference.video.clip import ClipOptions
    from lookcast.inference.video.encoder import EncoderOptions
    from lookcast.inference.video.frames import ClipError
    from lookcast.inference.video.sequence import DEFAULT_RATE
    from lookcast.inference.video.stylize import ClipSettings, stylize_clip

    settings = ClipSettings(
        args.strength,
        args.steady or "smooth",
        ClipOptions(args.max_pixels, args.deinterlace),
        EncoderOptions(args.codec, args.crf, args.preset),
        args.rate or DEFAULT_RATE,
        args.quality,
    )
    stylizer = load(args.checkpoint, pick_devices(args.devices)[0], args.precision)
    if args.style:
        stylizer.set_style(read_styles(args.style, args.style_mask, args.weights, args.max_pixels))
    part = rank_jobs(planned, rank, processes)
    jobs = pending_jobs(part) if args.resume else part
    failed = damaged = 0
    for job in jobs:
        try:
            damage = stylize_clip(stylizer, job, settings)
        except ClipError as error:
            if len(planned) == 1:
                raise
            failed += 1
            print(f"lookcast: skipped: {error}", file=sys.stderr)
            continue
        if damage is not None:
            damaged += 1
            print(f"lookcast: {job.source}: {damage}", file=sys.stderr)
        if len(planned) == 1:
            say(str(job.target))
    if len(planned) > 1:
        there = f", {len(part) - len(jobs)} were there already" if args.resume else ""
        share = f" (part {rank} of {processes})" if processes > 1 else ""
        say(f"{len(jobs) - failed} of {len(part)} clips written to {args.out}{there}{share}")
    return 1 if failed or damaged else 0
