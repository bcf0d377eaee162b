"""Photo files: read any format and mode, keep the metadata, write atomically."""
