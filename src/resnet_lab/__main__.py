"""The program `resnet-lab`. Ctrl-C while it still imports ends it as tidily as later."""

import sys


def main() -> int:
    """Run one command and return its exit code."""
    try:
        from resnet_lab.cli import main

        return main()
    except KeyboardInterrupt:
        print("resnet-lab: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
