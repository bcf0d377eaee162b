"""Stylizing videos: shots, grids that are steady over time, and reading and writing of video files."""
