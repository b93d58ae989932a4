"""The licence of a package, as a word of SPDX, from what its metadata says."""

from importlib.metadata import PackageMetadata
from typing import Final

ALLOWED: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD",  # the metadata does not say how many clauses
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BlueOak-1.0.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",  # of files: it asks for nothing where they are used as they are
        "PSF-2.0",
        "Python-2.0",  # PSF-2.0 with the licences before it
    }
)
"""None of them asks for anything of the app's own code."""
UNKNOWN: Final = "unknown"

_WORDS: Final = {
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}
"""What older metadata says, in words of SPDX."""


def licence_of(metadata: PackageMetadata) -> str:
    """The expression of a package's licence; `unknown` where its metadata gives none that is known.

    The newest field counts first: License-Expression, then License where it is a word and not a whole text, then the
    classifiers.
    """
    said = [metadata.get("License-Expression"), metadata.get("License"), *metadata.get_all("Classifier", [])]
    for text in said:
        word = _WORDS.get(text or "", text or "")
        if is_allowed(word):
            return word
    return metadata.get("License-Expression") or UNKNOWN


def is_allowed(expression: str) -> bool:
    """Whether a licence expression without brackets leaves the choice of allowed licences alone."""
    return any(set(choice.split(" AND ")) <= ALLOWED for choice in expression.split(" OR "))
