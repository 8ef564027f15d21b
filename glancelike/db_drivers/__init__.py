"""Databases: one contract (base), what it speaks of (query, visibility), and the drivers."""
