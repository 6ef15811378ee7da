"""Which options to try, and when to stop trying."""
