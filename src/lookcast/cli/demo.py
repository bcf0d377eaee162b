"""`lookcast stylize --demo`."""

import argparse
import shlex
from pathlib import Path

from lookcast.cli.streams import say

FOLDER = "lookcast-demo"
_NOT_WITH_DEMO = (
    ("PHOTO", "photos"),
    ("--style", "style"),
    ("--content-mask", "content_mask"),
    ("--auto-masks", "auto_masks"),
    ("--resume", "resume"),
    ("--share", "share"),
)


def demo(args: argparse.Namespace) -> int:
    """Stylize the example photos into a new folder, and print the files to open.

    Raises:
        InputError: an option does not suit the demo, the folder is not empty, or the checkpoint has a single look.
    """
    from lookcast.checks import InputError
    from lookcast.paths import unused_path

    for option, name in _NOT_WITH_DEMO:
        if getattr(args, name):
            raise InputError(f"--demo: stylizes the example photos, so it excludes {option}")
    folder = unused_path(Path(FOLDER)) if args.out is None else args.out
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"-o: {folder} exists already; --demo expects a new or an empty folder")
    from lookcast import examples
    from lookcast.inference.demo import stylize_examples
    from lookcast.inference.devices import pick_devices
    from lookcast.inference.stylizer import load

    stylizer = load(args.checkpoint, pick_devices(args.devices)[0], args.precision)
    if not stylizer.generator.takes_style:
        raise InputError("--demo: needs a checkpoint that takes a style photo")
    say(f"open {stylize_examples(stylizer, folder)}: the example photos in every example look")
    masked = stylize_examples(stylizer, folder, with_masks=True)
    say(f"open {masked}: the same with --auto-masks scenes, so that a sky takes the look of a sky")
    say(f"photos: {folder}")
    say(f"next:   lookcast stylize PHOTO --style {shlex.quote(str(examples.styles()['sunset']))}")
    return 0
