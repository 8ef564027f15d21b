"""Images of a local mirror: an example of an import method package for glancelike."""
