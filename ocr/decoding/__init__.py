"""Merged embeddings to token ids and text, one step at a time. Knows no pixels and no layout."""
