"""Sources of training photos: folders, shards, bundled samples."""
