"""Small clips that tests make, and what a test reads of a clip."""

from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

from lookcast.processes import keep_scheduling

SIZE = (48, 64)


def picture(number, size=SIZE, pixel_format="yuv420p", seed=0):
    """A frame with a coloured gradient that moves, and some noise."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed + number)
    rgb = np.stack([3 * x + 2 * number, 4 * y, 120 + 40 * np.sin((x + y) / 9 + number / 5)], 2)
    levels = (rgb % 256 + rng.normal(0, 2, rgb.shape)).clip(0, 255) * 257
    frame = av.VideoFrame.from_ndarray(levels.astype(np.uint16), format="rgb48le")
    return frame.reformat(format=pixel_format, dst_colorspace=1, dst_color_range=1)


@keep_scheduling()  # SVT-AV1 would raise this process to real-time priority
def save_clip(
    path,
    count=12,
    size=SIZE,
    codec="libx264",
    pixel_format="yuv420p",
    times=None,
    time_base=Fraction(1, 600),
    step=24,
    sound=True,
    rotation=None,
    tags=(1, 1, 1, 1),
    metadata=None,
    chapters=(),
    options=None,
    interlaced=False,
):
    """Write a clip at 25 frames/s with a sine as sound. `tags`: range, matrix, primaries and transfer."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = size[1], size[0], pixel_format
        context.time_base = stream.time_base = time_base
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
        if codec == "libx264" and interlaced:
            context.flags |= int(av.codec.context.Flags.interlaced_dct)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        voice = container.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000) if sound else None
        container.metadata.update(metadata or {})
        container.set_chapters(list(chapters))
        if not count:
            container.start_encoding()  # otherwise no file is written
        for number in range(count):
            frame = picture(number, size, pixel_format)
            frame.pts, frame.time_base = (times[number] if times else number * step), time_base
            frame.duration = step
            container.mux(stream.encode(frame))
            if voice is not None:
                samples = np.sin(np.arange(number * 1920, (number + 1) * 1920) / 20).astype(np.float32)
                block = av.AudioFrame.from_ndarray(np.stack([samples, samples]) / 4, "fltp", "stereo")
                block.sample_rate, block.pts, block.time_base = 48000, number * 1920, Fraction(1, 48000)
                container.mux(voice.encode(block))
        container.mux(stream.encode(None))
        if voice is not None:
            container.mux(voice.encode(None))
    return path


class Clip(NamedTuple):
    """What a clip holds: planes of each frame, times in seconds, packets of other streams, properties."""

    frames: list
    times: list
    packets: dict
    properties: dict


def read_clip(path):
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames, times, packets = [], [], {}
        for packet in container.demux():
            if packet.stream.type == "video":
                for frame in packet.decode():
                    frames.append([plane_of(plane, frame) for plane in frame.planes])
                    times.append(frame.pts * frame.time_base)
                    last = frame
            elif packet.stream.type in ("audio", "subtitle") and packet.size:
                seconds = None if packet.pts is None else packet.pts * packet.time_base
                packets.setdefault(packet.stream.index, []).append((seconds, bytes(packet)))
        properties = {
            "size": (video.height, video.width),
            "codec": video.codec_context.codec.canonical_name,
            "format": last.format.name,
            "tags": (last.color_range, last.colorspace, last.color_primaries, last.color_trc),
            "rotation": last.rotation,
            "aspect": video.sample_aspect_ratio,
            "time_base": video.time_base,
            "rate": video.average_rate,
            "frames": video.frames,
            "duration": video.duration,
            "whole_duration": container.duration,
            "start": video.start_time,
            "metadata": dict(container.metadata),
            "streams": [(stream.type, stream.name, dict(stream.metadata)) for stream in container.streams],
            "dispositions": [stream.disposition for stream in container.streams],
            "chapters": container.chapters(),
        }
    return Clip(frames, times, packets, properties)


def plane_of(plane, frame):
    kind = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
    return np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width].copy()


@keep_scheduling()
def reencode(path, codec, options=None):
    """The planes of a clip after decoding and encoding alone, with the encoder's own defaults."""
    with av.open(str(path)) as source, av.open(str(path.with_name(f"plain_{path.name}")), "w") as target:
        stream = source.streams.video[0]
        frames = list(source.decode(stream))
        out = target.add_stream(codec, rate=stream.average_rate, options=options or {})
        context = out.codec_context
        context.width, context.height, context.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        context.time_base = out.time_base = stream.time_base
        context.color_range, context.colorspace = frames[0].color_range, frames[0].colorspace
        context.color_primaries, context.color_trc = frames[0].color_primaries, frames[0].color_trc
        for frame in frames:
            frame.pict_type = 0
            frame.time_base = stream.time_base
            target.mux(out.encode(frame))
        target.mux(out.encode(None))
    return read_clip(path.with_name(f"plain_{path.name}"))
