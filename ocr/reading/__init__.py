"""Pages to results: the one route that every face takes."""
