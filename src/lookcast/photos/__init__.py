"""Photo files: read any format and mode, keep what belongs to the photo, write atomically."""
