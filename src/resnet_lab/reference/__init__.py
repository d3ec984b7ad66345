"""What the two papers printed, as data: tables, exact counts, recipes, and what others reached."""

from resnet_lab.reference.tables import community, exact_counts, imagenet_classes, names, recipes, table

__all__ = ["community", "exact_counts", "imagenet_classes", "names", "recipes", "table"]
