"""Codecs: functions that decode a file to pixels, or encode pixels to a file."""
