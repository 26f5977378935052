"""Claims: a sentence of the book beside the condition that makes it true of the numbers at hand.

The repository's tests are strict: a claim that does not hold is an error. A reader who has changed a number reads one
line and goes on.
"""

import os

STRICT = "TUTORIAL_LIB_STRICT"


def expect(sentence: str, holds: object) -> None:
    """Say nothing if the sentence holds of these numbers; otherwise say so, or raise where ``STRICT`` is set."""
    if bool(holds):
        return
    if os.environ.get(STRICT):
        raise AssertionError(sentence)
    print(f"The book saw: {sentence} With your values this is not so.")
