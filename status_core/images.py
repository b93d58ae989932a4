"""Whether two image references mean the same image.

The agent rewrites a desired image before it creates the container, and reports the result: it trims white space, adds
a missing tag as `:latest`, and replaces `$upstream` with the parent's host name (edge-agent: Docker/DockerConfig.cs,
Core/NestedEdgeParentUrlParser.cs).
"""

UPSTREAM = "$upstream:"


def normalise(image: str) -> str:
    """Return the reference as the agent writes it: trimmed, and with a tag if it has neither tag nor digest."""
    image = image.strip()
    last = image[image.rfind("/") + 1 :]
    return image if ":" in last or "@" in last else f"{image}:latest"


def same_image(desired: str | None, reported: str | None) -> bool:
    """Whether the device has the desired image. A missing reference equals only another missing one.

    A desired `$upstream:<port>/<path>` is compared from its first `:` on: the twin does not hold the parent's host
    name.
    """
    if desired is None or reported is None:
        return desired is reported
    if desired == reported:
        return True
    wanted, found = normalise(desired), normalise(reported)
    if wanted.startswith(UPSTREAM):
        return wanted.partition(":")[2] == found.partition(":")[2]
    return wanted == found
