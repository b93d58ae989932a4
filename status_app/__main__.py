"""`python -m status_app COMMAND`: what an operator, or a pipeline, asks of a running app."""

import sys

from status_app.commands.exit_codes import ExitCode, missing_package

if __name__ == "__main__":
    try:
        from status_app.command_line import main
    except ModuleNotFoundError as error:  # Python's own code of that, 1, says that a deployment failed
        print(missing_package(error), file=sys.stderr)
        sys.exit(ExitCode.UNAVAILABLE)
    sys.exit(main())
