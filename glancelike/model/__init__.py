"""Plain frozen values; the standard library only."""
