"""Cog's schema and server on this machine, without Docker."""
