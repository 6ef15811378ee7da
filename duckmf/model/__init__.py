"""A trained model: its numbers in codes, and as the rows that are stored."""
