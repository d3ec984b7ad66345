"""Runs that are not for their result (an extra): `debug=true`, overfit, profile, limit, lr_range and batch."""
