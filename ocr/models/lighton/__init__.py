"""LightOnOCR: a Pixtral that sees a page of any aspect, before a small Qwen3; it is shown pages and told nothing."""
