"""Property protections: who may create, read, update, delete which extra property."""
