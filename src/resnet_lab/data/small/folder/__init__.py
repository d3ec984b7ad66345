"""Class folders of small image files, decoded once and held in memory."""
