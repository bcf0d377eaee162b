"""From a checkpoint and a photo to a stylized photo; knows nothing of training."""
