"""What the models' own engines share: the machine, loading, pages decoded together."""
