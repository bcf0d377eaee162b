"""Codecs: each decodes a file to pixels, or encodes pixels to a file."""
