"""Let the tests of this folder import run_folders, which makes what they read."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
