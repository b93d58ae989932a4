"""A package for the type checker only, so that its `function_app` is told from the project's; hosts load the folder."""
