"""Photo files: every format and mode in, what belongs to the photo kept, written whole or not at all."""
