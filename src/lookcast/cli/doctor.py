"""The command `lookcast doctor`."""

import argparse
import sys

from lookcast.cli.streams import say, set_up_logging


def doctor(argv: list[str]) -> int:
    """Run `lookcast doctor`: print what works, and return 1 if something is broken."""
    build_parser().parse_args(argv)
    import platform
    from importlib import metadata

    from lookcast.cli import doctor_checks as checks

    set_up_logging()
    version = metadata.version(checks.DISTRIBUTION)
    say(f"lookcast {version}, Python {platform.python_version()} ({sys.executable}), {platform.platform()}")
    broken = 0
    for name, check in (
        ("versions", checks.check_versions),
        ("machine", checks.check_memory),
        ("devices", checks.check_devices),
        ("kernel", checks.check_kernel),
        ("encoder", checks.check_encoder),
        ("checkpoint", checks.check_checkpoint),
        ("photos", checks.check_photo_files),
        ("extras", checks.check_extras),
    ):
        try:
            state, line = "ok", check()
        except Exception as error:  # whatever is broken is what this command reports
            words = " ".join(str(error).split())
            state, line = (
                "broken",
                words if isinstance(error, checks.BrokenError) else f"{type(error).__name__}: {words}",
            )
            broken += 1
        say(f"{state:<7} {name:<11} {line}")
    urls = dict(url.split(", ", 1) for url in metadata.metadata(checks.DISTRIBUTION).get_all("Project-URL") or [])
    say(f"to report a bug, open an issue with this output and your command: {urls['Homepage']}/issues")
    return 1 if broken else 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    return argparse.ArgumentParser(
        prog="lookcast doctor",
        description="Check this installation: versions, devices, the compiled kernel, the encoder, the shipped "
        "checkpoint, photo formats and extras. The output helps others to find the cause of a bug.",
        epilog="Exit code: 0; 1 when something is broken.",
    )
