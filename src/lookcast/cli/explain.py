"""The command `lookcast explain`."""

import argparse
from typing import Any

from lookcast.cli.options import add_max_pixels, add_overwrite, path, word
from lookcast.cli.pairing import add_masks, check_files, check_masks, open_auto_masks
from lookcast.cli.streams import say, set_up_logging


def explain(argv: list[str]) -> int:
    """Run `lookcast explain`."""
    args = build_parser().parse_args(argv)
    from lookcast import __version__
    from lookcast.checkpoints import DEFAULT_CHECKPOINT
    from lookcast.checks import InputError
    from lookcast.inference.explain import explain as explain_photo
    from lookcast.inference.jobs import Job, check_place
    from lookcast.inference.photo_files import read_content, read_styles
    from lookcast.inference.stylizer import load
    from lookcast.pages.explanation import check_page, write_explanation

    set_up_logging()
    if len(args.style) > 1:
        raise InputError(f"--style: explain shows one look at a time, got {len(args.style)} photos")
    check_masks(args)
    check_page(args.out)
    check_place(args.out)
    check_files(args, [Job(args.photo, args.out, args.content_mask)])
    stylizer = load(args.checkpoint, args.device)
    content, mask = read_content(args.photo, args.content_mask, args.max_pixels)
    given: dict[str, Any] = {"content_mask": mask}
    regions = "given masks" if args.content_mask is not None else "predicted by the network"
    if args.style:
        styles = read_styles(args.style, args.style_mask, max_pixels=args.max_pixels)
        auto_masks = open_auto_masks(args, styles)
        given |= {"style": styles} if auto_masks is None else auto_masks(content, args.photo.stem)
        regions = regions if auto_masks is None else f"automatic masks ({args.auto_masks})"
    explanation = explain_photo(stylizer, content, **given)
    facts = {"photo": args.photo.name, "size": f"{content.shape[1]} x {content.shape[0]} pixels"}
    facts |= {"style": args.style[0].name} if args.style else {}
    facts |= {} if explanation.stages is None else {"regions": regions}
    facts |= {"checkpoint": f"{args.checkpoint or DEFAULT_CHECKPOINT} ({stylizer.generator.name} generator)"}
    facts |= {"made by": f"lookcast {__version__}"}
    write_explanation(args.out, explanation, facts)
    say(str(args.out))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="lookcast explain",
        description="Write a page that shows how a photo got its look: what the network saw, which part of the style "
        "each cell of the photo looked at, the colour transforms there, and what each step added. The page is one "
        "HTML file, which requests nothing.",
        epilog="Exit code: 0; 2 for bad input.",
    )
    parser.add_argument("photo", type=path, metavar="PHOTO", help="photo to stylize")
    parser.add_argument("--style", action="append", type=path, default=[], metavar="PHOTO", help="photo with the look")
    parser.add_argument(
        "--checkpoint",
        type=word,
        metavar="FILE",
        help=".safetensors file, or the name of a shipped checkpoint (default: universal_free)",
    )
    add_masks(parser)
    parser.add_argument("-o", "--out", type=path, required=True, metavar="FILE", help="the page, a name with .html")
    parser.add_argument("--device", default="auto", type=word, help="auto (default), cpu, cuda, cuda:1, mps")
    add_max_pixels(parser)
    add_overwrite(parser)
    parser.set_defaults(weights=None)
    return parser
