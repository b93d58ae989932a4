"""Checks `azure.yaml` and `infra/` as far as that goes without a compiler and without Azure.

The Bicep compiler comes from no package registry. What it would refuse, and what Azure would, is looked for in a parsed
syntax tree: see `check.findings`. Nothing here is compiled or deployed.
"""
