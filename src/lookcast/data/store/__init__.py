"""The store of photos in shards: written once, read by position."""
