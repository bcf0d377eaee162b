"""Lightning modules for training with one style photo for all contents, or with a style photo for each content."""
