# SPDX-License-Identifier: Apache-2.0
"""For what happens soon, but not at once."""

import time


LONGEST = 0.4


def until(what, seconds=20, why="it did not happen", step=0.05):
    """What what() gives once it gives anything. why: a sentence, or a function that gives one when it is needed. Asked less
    and less often: who waits for long must not use up what a server allows a source in a minute."""
    end = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < end, f"not within {seconds} s: {why() if callable(why) else why}"
        time.sleep(step)
        step = max(step, min(step * 1.2, LONGEST))
    return got
