"""dots.ocr and dots.mocr."""
