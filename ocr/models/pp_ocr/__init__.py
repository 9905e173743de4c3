"""PP-OCR."""
