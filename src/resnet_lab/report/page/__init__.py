"""Show sweeps on one page: a file, or live while they run. Free of torch."""

from resnet_lab.report.page.html import write_page
from resnet_lab.report.page.live import serve

__all__ = ["serve", "write_page"]
