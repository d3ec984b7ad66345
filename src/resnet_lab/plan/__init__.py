"""What a sweep would run and cost, without running it: an extra, which nothing of the core imports."""
