"""Turn run folders into tables, figures and a conclusion. Free of torch.

In a notebook: ``compare(folder)`` is a data frame; ``groups = summarise(collect(folder))``, then
``draw_depth(groups)``, ``draw_curves(groups)`` and ``conclude(groups)``. The command ``resnet-lab report`` is `report`.
"""

from resnet_lab.report.collect import FoundRun, collect
from resnet_lab.report.compare import Group, summarise
from resnet_lab.report.conclude import conclude
from resnet_lab.report.draw import draw_curves
from resnet_lab.report.draw_depth import draw_depth, draw_rates
from resnet_lab.report.draw_layers import draw_gradients, draw_responses
from resnet_lab.report.paper import Beside, beside_the_paper
from resnet_lab.report.publish import report
from resnet_lab.report.spread import Spread
from resnet_lab.report.style import save
from resnet_lab.report.table import group_csv, group_table, paper_csv, paper_table
from resnet_lab.report.tabular import Table
from resnet_lab.report.view import compare, compare_runs

__all__ = [
    "Beside",
    "FoundRun",
    "Group",
    "Spread",
    "Table",
    "beside_the_paper",
    "collect",
    "compare",
    "compare_runs",
    "conclude",
    "draw_curves",
    "draw_depth",
    "draw_gradients",
    "draw_rates",
    "draw_responses",
    "group_csv",
    "group_table",
    "paper_csv",
    "paper_table",
    "report",
    "save",
    "summarise",
]
