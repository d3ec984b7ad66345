"""Trained runs as one file to hand on: `resnet-lab pack` and `unpack`. Free of torch."""
