"""What was read into what a caller gets: markdown, JSON, pictures, files."""
