"""Models that see a page of any aspect as a grid of patches, each image token with a place in the plane."""
