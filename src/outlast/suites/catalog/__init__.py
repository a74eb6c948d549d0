"""What suites have besides their drills, one module a suite; its name has _ where the suite's has - (suites/suite.py).
    TITLE: str                     one line: what the suite proves
    SYSTEM: str                    the preset it runs on when nobody says another
    DRILLS: tuple[str, ...]        drills of other suites that belong to it too, by name
    CHECKS: tuple[SuiteCheck, …]   what only code can say
    CASES: tuple[Case, …]          drills with settings of their own, and what they should find: suites/expected.py
    SETTINGS: tuple[str, …]        key=value for its clusters; a person's --set outranks them
    WATCHED: bool                  whether its clusters have monitoring beside them

All are optional, and so is the module.
"""
