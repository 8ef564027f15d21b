"""A database driver of glancelike in one JSON file."""
