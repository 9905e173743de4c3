"""A file to numbered pages: images, PDFs, blank pages. Knows no model."""
