"""What azd runs beside its own steps: `azure.yaml` names each, for a POSIX shell and for PowerShell.

They run before anything is installed, with whatever Python azd found: the standard library alone, of 3.9 or later.
"""
