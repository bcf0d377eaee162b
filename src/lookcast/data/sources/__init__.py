"""Sources of training photos: folders, shards, sample photos."""
