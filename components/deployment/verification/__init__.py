"""Whether the deployed version answers what it should, and the record of it."""
