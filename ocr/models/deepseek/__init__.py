"""DeepSeek-OCR."""
