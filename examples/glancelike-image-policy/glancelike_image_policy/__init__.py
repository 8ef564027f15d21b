"""Images are refused by rule: an example of an import plugin package for glancelike."""
