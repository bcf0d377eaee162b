"""Choice and settings of the encoder of a clip."""

import os
from fractions import Fraction
from typing import NamedTuple

import av
from av.codec.context import Flags

from lookcast.checks import InputError
from lookcast.processes import keep_scheduling

ENCODERS = {
    "h264": "libx264",
    "h265": "libx265",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "vp8": "libvpx",
    "prores": "prores_ks",
}
"""The encoder for each codec. Other codecs have an encoder of their own name, or can't be written."""
_EVEN_ONLY = ("libx264", "libx265", "h264_nvenc", "hevc_nvenc", "prores_ks", "libsvtav1")
"""Encoders that need an even width and height if chroma is subsampled."""
_QUIET = {"libx265": {"x265-params": "log-level=error"}}
"""Settings of encoders that would print a page about each clip to standard error."""
_PRESETS = ("preset", "cpu-used")
"""Names that encoders give to the setting that trades speed for size."""


class EncoderOptions(NamedTuple):
    """Options for encoding a clip.

    Attributes:
        codec: name of a codec or of one of FFmpeg's encoders; None keeps the codec of the clip.
        crf: constant rate factor, in the terms of the encoder; None takes the encoder's default.
        preset: preset, in the terms of the encoder; None takes the encoder's default.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None


def pick_encoder(codec: str, requested: str | None) -> av.Codec:
    """Return the encoder for a clip.

    Args:
        codec: codec of the clip.
        requested: `EncoderOptions.codec`.

    Raises:
        InputError: FFmpeg's build has no such video encoder.
    """
    wanted = codec if requested is None else requested
    try:
        encoder = av.Codec(ENCODERS.get(wanted, wanted), "w")
    except ValueError as error:
        names = ", ".join(ENCODERS)
        source = f"the clip's codec {wanted} can't be written" if requested is None else f"no encoder named {wanted}"
        raise InputError(f"--codec: {source}; give one of {names}, or the name of an encoder of FFmpeg") from error
    if encoder.type != "video":
        raise InputError(f"--codec: {wanted} encodes {encoder.type}, not video")
    return encoder


def pick_format(encoder: av.Codec, picture: av.VideoFrame) -> str:
    """Return the pixel format to encode: the format of the frame, or the closest one without fewer bits.

    Raises:
        InputError: the encoder has no format of at least as many bits, or the size is odd where it must be even.
    """
    own = picture.format
    formats = [own] if encoder.video_formats is None else encoder.video_formats
    names = [video_format.name for video_format in formats]
    if own.name in names:
        chosen = own
    else:
        depth = _depth(own)
        planar = [f for f in formats if f.is_rgb == own.is_rgb and not f.is_big_endian and _depth(f) >= depth]
        planar = planar or [f for f in formats if not f.is_big_endian and _depth(f) >= depth and f.is_planar]
        if not planar:
            raise InputError(
                f"--codec: {encoder.name} can't keep the {depth} bits of {own.name}, it encodes {', '.join(names)}"
            )
        chosen = min(planar, key=lambda f: (_chroma_lost(own, f), _depth(f) - depth, _chroma_lost(f, own), len(f.name)))
    subsampled = not chosen.is_rgb and (chosen.chroma_width(2), chosen.chroma_height(2)) != (2, 2)
    if subsampled and encoder.name in _EVEN_ONLY and (picture.width % 2 or picture.height % 2):
        raise InputError(
            f"--codec: {encoder.name} needs an even width and height, the frames are {picture.width}x{picture.height}; "
            "vp9 and ffv1 take odd sizes"
        )
    return chosen.name


def configure(
    stream: av.VideoStream, picture: av.VideoFrame, pixel_format: str, options: EncoderOptions, rate: Fraction
) -> None:
    """Set up and open the encoder of a stream for frames like `picture`.

    Raises:
        InputError: a setting does not exist, or the encoder refuses it.
    """
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = picture.width, picture.height, pixel_format
    context.framerate = rate
    base = picture.time_base
    assert base is not None
    context.time_base = stream.time_base = base
    context.color_range, context.colorspace = picture.color_range, picture.colorspace
    context.color_primaries, context.color_trc = picture.color_primaries, picture.color_trc
    context.flags |= int(Flags.frame_duration)
    settings = encoder_settings(context, options)
    context.options = settings | _QUIET.get(context.name, {})
    if context.name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # only errors; the encoder has no other setting for it
    try:
        with keep_scheduling():
            context.open()
    except (av.FFmpegError, ValueError) as error:
        told = ", ".join(f"{key} {value}" for key, value in settings.items()) or "its own settings"
        raise InputError(
            f"--codec: {context.name} refuses {picture.width}x{picture.height} {pixel_format} with {told} ({error})"
        ) from error


def encoder_settings(context: av.VideoCodecContext, options: EncoderOptions) -> dict[str, str]:
    """Return the settings of an encoder, by the encoder's own names.

    Raises:
        InputError: the encoder has no such setting, or the value is out of range.
    """
    known = {option.name: option for option in context.supported_options.private}
    settings: dict[str, str] = {}
    if options.crf is not None:
        if "crf" not in known:
            raise InputError(f"--crf: {context.name} has no constant rate factor")
        low, high = max(0, known["crf"].min), min(63 if context.name != "libx264" else 51, known["crf"].max)
        if not low <= options.crf <= high:
            raise InputError(f"--crf: expected {low:g} to {high:g} for {context.name}, got {options.crf:g}")
        settings["crf"] = f"{options.crf:g}"
    if options.preset is not None:
        name = next((name for name in _PRESETS if name in known), None)
        if name is None:
            raise InputError(f"--preset: {context.name} has no presets")
        settings[name] = options.preset
    return settings


def _depth(video_format: av.VideoFormat) -> int:
    return max((component.bits for component in video_format.components), default=0)


def _chroma_lost(source: av.VideoFormat, target: av.VideoFormat) -> int:
    """Return how many of the two directions of chroma have fewer samples in `target`, plus 2 if chroma is absent."""
    if len(target.components) < 3 <= len(source.components):
        return 4
    return sum(
        target_size < source_size
        for source_size, target_size in (
            (source.chroma_width(8), target.chroma_width(8)),
            (source.chroma_height(8), target.chroma_height(8)),
        )
    )
