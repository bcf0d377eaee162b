"""Metadata of clips: what is copied from the source, and what a writer computes anew."""

from typing import Any

from lookcast.inference.video.clip import ClipReader

_MUXER_KEYS = ("major_brand", "minor_version", "compatible_brands", "encoder")
_STATISTICS = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS_", "ENCODER", "SOURCE_ID")
"""Beginnings of the names of tags that Matroska's writers compute from a stream."""


def copy_file_tags(source: ClipReader, container: Any) -> None:
    """Copy the metadata and the chapters of a file."""
    tags = source.container.metadata
    container.metadata.update({key: value for key, value in tags.items() if key not in _MUXER_KEYS})
    container.set_chapters(source.container.chapters())


def copy_stream_tags(source: Any, target: Any) -> None:
    """Copy the metadata and the disposition of a stream."""
    target.metadata.update(
        {key: value for key, value in source.metadata.items() if key != "encoder" and not key.startswith(_STATISTICS)}
    )
    target.disposition = source.disposition.value


def muxer_options(source: ClipReader, suffix: str) -> dict[str, str]:
    """Return options of a container that keep the time base of the source and the tags of phones."""
    options = {}
    if suffix.lower() in (".mp4", ".mov", ".m4v"):
        base = source.stream.time_base
        if base is not None and base.numerator == 1:
            options["video_track_timescale"] = str(base.denominator)
        if any(key.startswith("com.") for key in source.container.metadata):
            options["movflags"] = "+use_metadata_tags"
    return options
