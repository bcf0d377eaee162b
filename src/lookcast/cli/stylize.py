"""The command `lookcast stylize`."""

import argparse
import os
from pathlib import Path

from lookcast.cli.demo import FOLDER, demo
from lookcast.cli.options import add_look, add_overwrite, add_precision, count, parse_intermixed, path, steps, word
from lookcast.cli.pairing import add_files, add_masks, check_files, check_masks, open_auto_masks
from lookcast.cli.streams import say, set_up_logging
from lookcast.cli.video import add_clips, pick_clips, stylize_clips


def stylize(argv: list[str]) -> int:
    """Run `lookcast stylize`."""
    args = parse_intermixed(build_parser(), argv, "photos", unless="demo")
    from lookcast.inference.styles import check_strength

    set_up_logging()
    if args.demo:
        return demo(args)
    check_strength(args.strength)
    check_masks(args)
    args.replace = args.out is not None
    if args.out is None:
        args.out = _name_output(args)
    clips = pick_clips(args)
    code = _stylize_photos(args) if args.photos else 0
    return max(code, stylize_clips(args, clips, *part_of(args.share))) if clips else code


def _stylize_photos(args: argparse.Namespace) -> int:
    """Stylize photos, and return the exit code."""
    from lookcast.checks import InputError
    from lookcast.inference.batch import stylize_files
    from lookcast.inference.devices import pick_devices
    from lookcast.inference.jobs import pending_jobs, plan_jobs, rank_jobs
    from lookcast.inference.photo_files import FileOptions, read_styles, stylize_file
    from lookcast.inference.refine import open_refine
    from lookcast.inference.stylizer import load

    jobs = plan_jobs(args.photos, args.out, args.content_mask)
    check_files(args, jobs)
    single = len(jobs) == 1
    rank, processes = part_of(args.share)
    part = rank_jobs(jobs, rank, processes)
    jobs = pending_jobs(part) if args.resume else part
    files = FileOptions(args.quality, args.subsampling, args.max_pixels, args.lenient, args.replace)
    refine = open_refine(args.refine)
    stylizers = [load(args.checkpoint, device, args.precision) for device in pick_devices(args.devices)]
    if refine is not None and not stylizers[0].generator.takes_style:
        raise InputError("--refine: needs a checkpoint that takes a style photo")
    auto_masks = None
    if args.style:
        styles = read_styles(args.style, args.style_mask, args.weights, args.max_pixels)
        for stylizer in stylizers:
            stylizer.set_style(styles)
        auto_masks = open_auto_masks(args, styles)
    if single and jobs:
        code = int(stylize_file(stylizers[0], jobs[0], args.strength, auto_masks, files, refine or 0))
        say(str(jobs[0].target))
        return code
    failures, damaged = stylize_files(stylizers, jobs, args.strength, auto_masks, args.jobs, files, refine or 0)
    there = f", {len(part) - len(jobs)} were there already" if args.resume else ""
    share = f" (part {rank} of {processes})" if processes > 1 else ""
    say(f"{len(jobs) - len(failures)} of {len(part)} photos written to {args.out}{there}{share}")
    return 1 if failures or damaged else 0


def _name_output(args: argparse.Namespace) -> Path:
    """Return the output of a call without `-o`: a new file `PHOTO_STYLE` beside the photo or the clip.

    The file has the suffix of the photo if photos with this suffix can be written, else `.jpg`. If the file exists, a
    number is added. A checkpoint with a single look stands in for the style photo.

    Raises:
        InputError: there are several photos, or the input is a folder or a sequence of images.
    """
    from lookcast.checkpoints import find_checkpoint
    from lookcast.checks import InputError
    from lookcast.inference.jobs import is_folder
    from lookcast.inference.video.jobs import CLIP_SUFFIXES, is_pattern
    from lookcast.paths import unused_path
    from lookcast.photos.write import PHOTO_SUFFIXES

    if len(args.photos) > 1 or is_folder(args.photos[0]) or is_pattern(args.photos[0]):
        raise InputError("-o: several photos, a folder or a sequence of images need -o OUT")
    if args.resume:
        raise InputError("--resume: needs -o, because a call without -o always writes a new file")
    (photo,) = args.photos
    looks = [style.stem for style in args.style] or [find_checkpoint(args.checkpoint).stem]
    suffix = photo.suffix if photo.suffix.lower() in (*PHOTO_SUFFIXES, *CLIP_SUFFIXES) else ".jpg"
    return unused_path(photo.with_name(f"{'_'.join((photo.stem, *looks))}{suffix}"))


def part_of(share: str | None) -> tuple[int, int]:
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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="lookcast stylize",
        usage="%(prog)s [OPTION ...] PHOTO|CLIP [PHOTO|CLIP ...] [-o OUT]",
        description="Give photos and clips the look of other photos, or the single look of a checkpoint; EXIF, colour "
        "profile and transparency are kept, and the sound of clips. Masks are PNGs in nine colours, one "
        "colour for one kind of region in both photos. "
        "Words after -- are photos, even if they begin with a dash.",
        epilog="Exit code: 0; 1 when some of several photos were skipped or a photo is damaged; 2 for bad input.",
    )
    parser.add_argument(
        "photos",
        nargs="*",
        type=path,
        metavar="PHOTO",
        help="photo or clip, or folder of photos and clips (folders inside it do not count)",
    )
    add_look(parser)
    add_masks(parser)
    parser.add_argument(
        "-o",
        "--out",
        type=path,
        help="file for one photo, folder for several (default for one photo: a new file PHOTO_STYLE beside it)",
    )
    parser.add_argument(
        "--demo", action="store_true", help=f"stylize the example photos into a new folder, {FOLDER} by default"
    )
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
        "--refine",
        type=steps,
        default=0,
        metavar="N",
        help="after the prediction, make N optimisation steps on each photo; 10 take about a second (default: 0)",
    )
    add_files(parser)
    add_precision(parser)
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
    add_clips(parser)
    return parser
