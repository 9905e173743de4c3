"""`python -m ocr`."""

import sys

from ocr.faces.cli.main import main

sys.exit(main())
