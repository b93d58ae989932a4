"""`python -m status_app COMMAND`: the same as `edge-status COMMAND`."""

from status_app.command_line import command

if __name__ == "__main__":
    command()
