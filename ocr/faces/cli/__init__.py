"""The command line, `python -m ocr`."""
