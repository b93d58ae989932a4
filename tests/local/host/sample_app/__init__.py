"""A package for the type checker only, so that its `function_app` is not the project's; hosts load the folder."""
