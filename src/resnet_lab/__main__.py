import sys

from resnet_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
