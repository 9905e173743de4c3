"""Checkpoints by hand, with the standard library alone, before anything is installed.

    python weights.py fetch deepseek-ocr        python weights.py verify        python weights.py list

What it does is in `ocr.weights`.
"""

import sys

from ocr.weights.commands import main

if __name__ == "__main__":
    sys.exit(main())
