"""A model's text to elements, by dialect. Knows no model, no document and no decoding."""
