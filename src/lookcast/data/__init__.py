"""Photos and masks to train on."""
