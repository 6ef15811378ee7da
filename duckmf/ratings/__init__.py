"""Rows as they arrive, then one matrix of them."""
