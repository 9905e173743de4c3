"""GOT-OCR 2.0: square views of a page, plain text or Mathpix markdown."""
