"""Lightning modules: one style for all contents, or a style for each content."""
