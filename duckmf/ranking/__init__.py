"""Best-k lists of a model, and how good they are."""
