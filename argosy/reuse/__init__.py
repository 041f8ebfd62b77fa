"""Steps across borders: KFP components, and templates that others published."""
