"""Image properties that belong to a project."""
