"""Sphinx configuration: ``tox -e docs``."""

project = 'glancelike'
author = 'The glancelike developers'
extensions = ['sphinx.ext.autodoc']
html_theme = 'alabaster'
exclude_patterns = ['_build', 'build']
nitpicky = False
