"""Import plugins: what is done to an image between its source and the stores."""
