"""The models that there are, one folder for each family, and the table of them."""
