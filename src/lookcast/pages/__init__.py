"""HTML pages that are single files and request nothing."""
