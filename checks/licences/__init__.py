"""Which packages there are, and under which licences: docs/licences.md is made from what is installed."""
