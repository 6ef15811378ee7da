"""numba loops over arrays and numbers, and the threads that run them."""
