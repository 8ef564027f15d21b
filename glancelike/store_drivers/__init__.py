"""Stores: one contract (base), one wrapper round it (checked), the configured stores by name (stores), drivers."""
