"""Images in memory: an example of a store driver package for glancelike."""
