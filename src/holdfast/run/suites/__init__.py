"""What suites have besides their drills, one module a suite; its name has _ where the suite's has -. See run/suite.py.

    TITLE: str                     one line: what the suite proves
    SYSTEM: str                    the preset it runs on when nobody says another
    DRILLS: tuple[str, ...]        drills of other suites that belong to it too, by name
    CHECKS: tuple[SuiteCheck, …]   what only code can say

All are optional, and so is the module.
"""
