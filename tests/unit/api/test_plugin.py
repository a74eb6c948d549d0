"""The pytest plugin, on clusters that only say what they were asked for."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

import pytest

import outlast.api
from outlast.errors import ClusterError, ConfigError, UnavailableError

pytest_plugins = ["pytester"]


class Told:
    """What a test asked for; made: all of them, in order."""

    made: ClassVar[list[Told]] = []

    def __init__(self, what: str = "patroni", *, limits: Any = None, **settings: Any) -> None:
        self.what, self.settings, self.limits = what, settings, limits
        self.made.append(self)
        self.is_up = False

    def __enter__(self) -> Told:
        self.is_up = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_up = False


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(Told, "made", [])
    monkeypatch.setattr(outlast.api, "cluster", Told)
    return pytester


def run(project: pytest.Pytester, *words: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", "outlast.pytest_plugin", "--strict-markers", "-rs", *words)


def asked() -> list[tuple[str, dict[str, Any]]]:
    return [(one.what, one.settings) for one in Told.made]


def test_a_module_shares_one_cluster_and_a_marker_says_which(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_default="def test_a(ha_cluster): assert ha_cluster.is_up\ndef test_b(ha_cluster): assert ha_cluster.is_up",
        test_marked="""
            import pytest
            pytestmark = pytest.mark.ha_cluster("patroni", nodes=3, sync="on")
            @pytest.fixture(scope="module")
            def app(ha_cluster): return ha_cluster
            def test_a(app): assert app.settings == {"nodes": 3, "sync": "on"}
            def test_b(ha_cluster, app): assert ha_cluster is app
            @pytest.mark.ha_cluster("streaming")
            def test_c(ha_cluster): assert ha_cluster.what == "streaming"
        """,
    )
    run(project).assert_outcomes(passed=5)
    assert asked() == [("patroni", {}), ("patroni", {"nodes": 3, "sync": "on"}), ("streaming", {})]
    assert not any(one.is_up for one in Told.made)


def test_scope_comes_from_the_marker_or_the_ini_file(project: pytest.Pytester) -> None:
    both = "\ndef test_a(ha_cluster): pass\ndef test_b(ha_cluster): pass\n"
    project.makepyfile(
        test_one="import pytest\npytestmark = pytest.mark.ha_cluster(scope='function')" + both, test_two=both
    )
    run(project, "test_one.py").assert_outcomes(passed=2)
    assert len(Told.made) == 2
    run(project, "-o", "ha_scope=session", "test_two.py").assert_outcomes(passed=2)
    assert len(Told.made) == 3
    refused = run(project, "-o", "ha_scope=weekly", "test_two.py")
    assert "must be one of function, class" in refused.stdout.str() + refused.stderr.str()


def test_one_test_runs_on_several_systems_when_it_says_so(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("ha_cluster", ["patroni", {"what": "streaming", "nodes": 2}], indirect=True)
        def test_a(ha_cluster): pass
        """
    )
    run(project).assert_outcomes(passed=2)
    assert asked() == [("patroni", {}), ("streaming", {"nodes": 2})]


def test_ini_file_and_command_line_choose_cluster_and_limits(project: pytest.Pytester) -> None:
    project.makeini(
        "[pytest]\nha_cluster = six-node profile=fast\nha_failover_timeout = 45s\nha_lag_limit = 500ms"
    )
    project.makepyfile("def test_a(ha_cluster): pass")
    run(project, "--ha-set", "sync=off").assert_outcomes(passed=1)
    assert asked() == [("six-node", {"profile": "fast", "sync": "off"})]
    assert (Told.made[0].limits.failover_s, Told.made[0].limits.lag_s) == (45.0, 0.5)


def test_hosts_and_ports_lead_to_a_cluster_that_is_not_ours(project: pytest.Pytester) -> None:
    project.makeini(
        "[pytest]\nha_hosts = db1 db2\nha_ports = 5432 5433\nha_user = app\nha_passfile = /etc/my pass"
    )
    project.makepyfile("def test_a(ha_cluster): pass")
    result = run(project)
    result.assert_outcomes(passed=1)
    dsn = "host=db1,db2 port=5432,5433 user=app dbname=postgres passfile='/etc/my pass'"
    assert asked() == [("patroni", {"dsn": dsn})]
    result.stdout.fnmatch_lines([f"outlast: on {dsn}"])
    refused = run(project, "-o", "ha_ports=1 2 3")
    assert "one port, or one for each" in refused.stdout.str() + refused.stderr.str()


def test_slow_and_destructive_select(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        @pytest.mark.slow
        def test_slow(ha_cluster): pass
        @pytest.mark.destructive
        def test_destructive(ha_cluster): pass
        @pytest.mark.destructive
        def test_without_cluster(): pass
        def test_quick(ha_cluster): pass
        """
    )
    run(project, "-m", "not slow and not destructive").assert_outcomes(passed=1, deselected=3)
    run(project).assert_outcomes(passed=4)
    spared = run(project, "--ha-dsn", "host=db")
    spared.assert_outcomes(passed=3, skipped=1)
    spared.stdout.fnmatch_lines(["*--run-destructive runs it all the same"])
    run(project, "--ha-dsn", "host=db", "--run-destructive").assert_outcomes(passed=4)
    run(project, "--ha-dsn", "host=db", "-o", "ha_destructive=true").assert_outcomes(passed=4)


def test_a_machine_without_labs_skips_with_the_reason_or_fails(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UnavailableError("the kernel refuses namespaces", hint="run as root")

    monkeypatch.setattr(outlast.api, "cluster", refuse)
    project.makepyfile("def test_a(ha_cluster): pass\ndef test_b(ha_cluster): pass")
    skipped = run(project)
    skipped.assert_outcomes(skipped=2)
    skipped.stdout.fnmatch_lines(["*the kernel refuses namespaces (run as root)"])
    run(project, "--ha-required").assert_outcomes(errors=2)
    run(project, "-o", "ha_required=true").assert_outcomes(errors=2)


@pytest.mark.parametrize(
    "error", [ClusterError("no node came up"), ConfigError("is no setting", key="nodse")]
)
def test_a_cluster_that_does_not_come_up_is_an_error_never_a_skip(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(outlast.api, "cluster", fail)
    project.makepyfile("def test_a(ha_cluster): pass")
    failed = run(project)
    failed.assert_outcomes(errors=1)
    failed.stdout.fnmatch_lines([f"*no cluster: {error}*"])


def test_a_fault_that_cannot_be_had_skips_the_test_with_its_reason(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from outlast.errors import UnavailableError
        def test_a(ha_cluster): raise UnavailableError("disks=on needs root")
        """
    )
    skipped = run(project)
    skipped.assert_outcomes(skipped=1)
    skipped.stdout.fnmatch_lines(["*disks=on needs root"])
    run(project, "--ha-required").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("marker", "said"),
    [("'patroni', scope='weekly'", "is none of function"), ("'patroni', 3, 4", "the marker ha_cluster")],
)
def test_a_marker_that_makes_no_sense_is_told_with_its_test(
    project: pytest.Pytester, marker: str, said: str
) -> None:
    project.makepyfile(f"import pytest\n@pytest.mark.ha_cluster({marker})\ndef test_a(ha_cluster): pass")
    result = run(project)
    assert said in result.stdout.str() + result.stderr.str()
    assert "test_a" in result.stdout.str() + result.stderr.str()
    assert not Told.made


def test_a_run_that_uses_no_cluster_imports_nothing_of_the_house() -> None:
    """What every pytest run in the environment pays for: the plugin's own module and the package's name."""
    program = (
        "import pytest, sys; before = set(sys.modules); import outlast.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['outlast', 'outlast.pytest_plugin']"
