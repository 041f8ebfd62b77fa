"""Runs that are over or go on: found, shown, compared, repeated. A run's folder is all that is read."""
