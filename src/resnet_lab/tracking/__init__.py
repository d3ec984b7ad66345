"""What W&B and TensorBoard get of a run: facts and rows, made level again as often as one likes. Free of torch."""
