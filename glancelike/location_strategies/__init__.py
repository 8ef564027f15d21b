"""Location strategies: which copy of an image is tried first."""
