"""Import methods: where the bytes of an imported image come from."""
