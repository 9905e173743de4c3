"""How one asks: thin translations of formats and errors; no face knows another."""
