# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases of a test in Python: a line of "ok NAME: FIGURE" or "not ok NAME: FIGURE" each."""
import re

# What AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer say.
REPORT = re.compile(r"(ERROR|WARNING): \w*Sanitizer|runtime error:|SUMMARY: \w*Sanitizer|Sanitizer: CHECK failed")
failed = 0


def check(good, name, figure="", more=""):
    """`figure` is told in any case, `more` if it failed."""
    global failed
    failed += not good
    print(f"{'ok' if good else 'not ok'} {name}{f': {figure}' if figure else ''}", flush=True)
    if not good and more != "":
        print(more, flush=True)


def exit_code():
    """What the test ends with."""
    return 1 if failed else 0
