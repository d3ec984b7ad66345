"""Add the page to the arguments of `report`."""

from argparse import Namespace

from resnet_lab.extras import extend, option


@extend(
    "report",
    option("--page", "write page.html instead: an interactive page of all tables"),
    option(
        "--serve [PORT]",
        "show that page on this machine alone, live while a sweep runs, until Ctrl-C",
        type=int,
        const=0,
    ),
)
def page(args: Namespace) -> int | None:
    if not args.page and args.serve is None:
        return None
    from resnet_lab.errors import UserError
    from resnet_lab.report.page import serve, write_page

    if args.by or args.rows or args.columns or args.baseline or args.format or args.show:
        raise UserError("--page and --serve show every table: leave out what asks for one")
    if args.serve is not None:
        return serve(args.folder, args.where, args.serve)
    return write_page(args.folder, args.out, args.where)
