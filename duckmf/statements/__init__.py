"""What lives while one SQL function runs, from the request of its macro to the rows it returns."""
