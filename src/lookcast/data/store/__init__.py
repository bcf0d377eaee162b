"""Storage of photos in shards: all photos are written once, and each photo can be read by its number."""
