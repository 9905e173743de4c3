"""A second opinion on a page: its lines, as networks for print read them, beside a model's answer."""
