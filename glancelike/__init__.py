"""glancelike: an image service made of plugins, a drop-in for OpenStack Glance."""
