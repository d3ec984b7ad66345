"""Deep residual networks as experiments: a run is a folder, a sweep is many, a report reads them."""
