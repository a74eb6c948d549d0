"""The pytest plugin: the fixture ``ha_cluster``, a real cluster that a test may break.

Loaded by every pytest run in an environment that has outlast, so it imports nothing of the house until a test asks for
a cluster. docs/testing-your-application.md shows its use.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import pytest

if TYPE_CHECKING:
    from outlast.api import Cluster, Limits, OwnCluster

FIXTURE: Final = "ha_cluster"
SCOPES: Final = ("function", "class", "module", "package", "session")
INI: Final[dict[str, tuple[Literal["string", "args", "bool"], str]]] = {
    "ha_cluster": (
        "args",
        "cluster of tests without a marker: a preset or file, and KEY=VALUE settings of it",
    ),
    "ha_scope": ("string", f"how long a cluster is shared: {', '.join(SCOPES)}; module without"),
    "ha_lab": ("string", "a lab that is up, instead of new ones: as --ha-lab"),
    "ha_hosts": ("args", "hosts of a cluster that is not Outlast's: at it is only looked"),
    "ha_ports": ("args", "their ports, one for all or one each; 5432 without"),
    "ha_user": ("string", "the user to connect as there; postgres without"),
    "ha_database": ("string", "the database there; postgres without"),
    "ha_passfile": ("string", "the file that holds the password there, as libpq reads it; ~/.pgpass without"),
    "ha_ready_timeout": ("string", "longest wait for a whole cluster; 120s without"),
    "ha_failover_timeout": (
        "string",
        "longest wait for a new primary; what the system's settings promise without",
    ),
    "ha_lag_limit": ("string", "longest replay lag that assert_lag() takes; 5s without"),
    "ha_artifacts": (
        "string",
        "folder that gets the logs and histories of failing tests, below the root folder",
    ),
    "ha_required": (
        "bool",
        "an unavailable cluster is an error, not a reason to skip: as --ha-required",
    ),
    "ha_destructive": (
        "bool",
        "run destructive tests on clusters that are not made for them: as --run-destructive",
    ),
}
"""Its settings in pytest.ini, pyproject.toml or tox.ini, with type and meaning."""

MARKERS: Final = (
    "ha_cluster(what, *, scope, route, **settings): the cluster that a test, class or module is given by ha_cluster",
    'slow: takes long; pytest -m "not slow" leaves it out',
    'destructive: breaks the cluster; pytest -m "not destructive" leaves it out, and one that was up already is spared '
    "without --run-destructive",
)

_SHOWN: Final = pytest.StashKey[tuple[int, int]]()


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """A cluster as a test asks for it. settings: as JSON, so that equal requests are equal."""

    what: str = "patroni"
    settings: str = "{}"

    @classmethod
    def of(cls, what: str = "patroni", scope: str | None = None, **settings: Any) -> ClusterRequest:
        """Return what the arguments of the marker say."""
        return cls(what, json.dumps(settings, sort_keys=True))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and settings."""
    group = parser.getgroup("outlast", "clusters to break (outlast)")
    group.addoption(
        "--ha-lab", metavar="L", help="give ha_cluster the lab L, which is up, instead of new ones"
    )
    group.addoption(
        "--ha-dsn", metavar="DSN", help="give ha_cluster a cluster of yours; nothing is broken in it"
    )
    group.addoption("--ha-set", metavar="KEY=VALUE", action="append", default=[],
                    help="set a key of every new cluster, over its marker: --ha-set sync=off")  # fmt: skip
    group.addoption(
        "--ha-keep", action="store_true", help="leave the clusters of failing tests up for a look"
    )
    group.addoption(
        "--ha-required", action="store_true", help="fail where no cluster is available; do not skip"
    )
    group.addoption("--run-destructive", action="store_true",
                    help="run tests marked destructive also on a lab or a cluster that was up already")  # fmt: skip
    for name, (kind, about) in INI.items():
        parser.addini(name, about, type=kind, default={"args": [], "bool": False}.get(kind))


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say on which cluster the tests run when that is not one of their own."""
    lab, dsn = _lab(config), _dsn(config)
    return f"outlast: on {f'the lab {lab}' if lab else dsn}" if lab or dsn else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Hand a test's marker to its fixture: as a parameter, so that tests with the same request share a cluster."""
    if FIXTURE not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker(FIXTURE)
    chosen = any(_names(mark) for mark in metafunc.definition.iter_markers("parametrize"))
    if marker is None or chosen:
        return
    try:
        wanted = ClusterRequest.of(*marker.args, **marker.kwargs)
    except TypeError as error:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: the marker ha_cluster: {error}") from error
    scope = marker.kwargs.get("scope")
    if scope is not None and scope not in SCOPES:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: scope={scope!r} is none of {', '.join(SCOPES)}"
        )
    hidden = getattr(pytest, "HIDDEN_PARAM", wanted.what)  # before pytest 8.4 it shows in the test's name
    metafunc.parametrize(FIXTURE, [wanted], indirect=True, ids=[hidden], scope=scope)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Spare a cluster that is not made for the test what the test says it does."""
    config = item.config
    if item.get_closest_marker("destructive") is None or FIXTURE not in getattr(item, "fixturenames", ()):
        return
    allowed = config.getoption("run_destructive") or config.getini("ha_destructive")
    if (_lab(config) or _dsn(config)) and not allowed:
        pytest.skip("destructive, and the cluster was up already; --run-destructive runs it all the same")


@pytest.fixture(scope=lambda fixture_name, config: _scope(config))
def ha_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A real cluster, whole, for this test, module or session; see the marker ha_cluster.

    It has ``dsn(role)``, ``primary``, ``standbys``, ``inject(fault, on=…)``, ``switchover()``, ``wait_until(…)``,
    ``history()``, ``assert_no_lost_writes(…)`` and more: outlast.api.
    """
    from outlast.errors import OutlastError, UnavailableError

    config = request.config
    wanted = _wanted(getattr(request, "param", None), config)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_alone(config))
            cluster: Cluster = stack.enter_context(_make(wanted, config))
        except UnavailableError as error:
            _unavailable(error, config)
        except OutlastError as error:
            pytest.fail(f"no cluster: {_words(error)}", pytrace=False)
        yield cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Have the cluster whole before each test that shares it; skip a fault that is not available, with its reason."""
    cluster = _cluster_of(item)
    if cluster is None:
        return (yield)
    from outlast.api import OwnCluster
    from outlast.errors import OutlastError, UnavailableError

    if isinstance(cluster, OwnCluster):
        item.stash[_SHOWN] = (len(cluster.injected), len(cluster.recordings))
        try:
            cluster.wait_until("whole")
        except OutlastError as error:
            pytest.fail(f"the cluster is not whole before the test: {_words(error)}", pytrace=False)
    try:
        return (yield)
    except UnavailableError as error:
        _unavailable(error, item.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a failing test leaves, and say where; put the figures of its loads into the JUnit properties."""
    report = yield
    cluster = _cluster_of(item)
    if cluster is None or report.when == "teardown":
        return report
    from outlast.api import OwnCluster
    from outlast.api.evidence import figures, keep

    if isinstance(cluster, OwnCluster):
        injected, recordings = item.stash.get(_SHOWN, (0, 0))
        if report.when == "call":
            item.user_properties += figures(
                cluster.recordings[recordings:]
            )  # its teardown's report is the one told
        if report.failed:
            keeps = bool(item.config.getoption("ha_keep"))
            cluster.keep = cluster.keep or keeps
            folder = item.config.getini("ha_artifacts")
            where = item.config.rootpath / folder if folder else None
            words = keep(cluster, item.nodeid, where, injected, recordings)
            report.sections.append(("outlast", "\n".join([*words, *_again(item, cluster, keeps)])))
    return report


def _again(item: pytest.Item, cluster: OwnCluster, keeps: bool) -> list[str]:
    """Return the commands that keep a failing test's cluster, or look at the one that was kept."""
    lab = shlex.quote(cluster.name)
    if _lab(item.config) or keeps:
        return [f"look      outlast status --lab {lab}; outlast psql --lab {lab}; outlast down --lab {lab}"]
    return [f"again     pytest {shlex.quote(item.nodeid)} --ha-keep    leaves its cluster up"]


def _names(mark: pytest.Mark) -> bool:
    """Whether a parametrize mark chooses the cluster itself."""
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
    return FIXTURE in ([one.strip() for one in names.split(",")] if isinstance(names, str) else names)


def _scope(config: pytest.Config) -> Any:
    scope = config.getini("ha_scope") or "module"
    if scope not in SCOPES:
        raise pytest.UsageError(f"ha_scope = {scope}: must be one of {', '.join(SCOPES)}")
    return scope


def _lab(config: pytest.Config) -> str | None:
    if config.getoption("ha_dsn"):
        return None
    found: str | None = config.getoption("ha_lab") or config.getini("ha_lab") or None
    return found


def _dsn(config: pytest.Config) -> str | None:
    given: str | None = config.getoption("ha_dsn")
    if given or config.getoption("ha_lab"):
        return given
    hosts = [one for word in config.getini("ha_hosts") for one in word.split(",") if one]
    if not hosts:
        return None
    ports = [one for word in config.getini("ha_ports") for one in word.split(",") if one] or ["5432"]
    if not all(one.isdigit() for one in ports) or len(ports) not in (1, len(hosts)):
        raise pytest.UsageError(
            f"ha_ports = {' '.join(ports)}: must be one port, or one for each of ha_hosts"
        )
    parts = {
        "host": ",".join(hosts),
        "port": ",".join(ports),
        "user": config.getini("ha_user") or "postgres",
        "dbname": config.getini("ha_database") or "postgres",
        "passfile": config.getini("ha_passfile"),
    }
    return " ".join(f"{key}={_quoted(value)}" for key, value in parts.items() if value)


def _quoted(value: str) -> str:
    if value and not any(sign in value for sign in " '\\"):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _wanted(given: object, config: pytest.Config) -> ClusterRequest:
    """Return what was asked for: by the marker, by a parameter of one's own, or by ha_cluster of the ini file."""
    if isinstance(given, ClusterRequest):
        return given
    if isinstance(given, str):
        return ClusterRequest.of(given)
    if isinstance(given, dict):
        return ClusterRequest.of(**given)
    if given is not None:
        raise pytest.UsageError(
            f"{FIXTURE} takes a preset's name or a dict of its marker's arguments, got {given!r}"
        )
    words = list(config.getini("ha_cluster"))
    what = words.pop(0) if words and "=" not in words[0] else "patroni"
    return ClusterRequest.of(what, **dict(_setting(word, "ha_cluster") for word in words))


def _setting(text: str, where: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise pytest.UsageError(f"{where}: {text!r} is not KEY=VALUE")
    from outlast.config.document import parse_value

    return name, parse_value(value, place=where)


def _make(wanted: ClusterRequest, config: pytest.Config) -> Any:
    from outlast import api

    limits = _limits(config)
    if (dsn := _dsn(config)) is not None:
        return api.cluster(dsn=dsn, limits=limits)
    if (lab := _lab(config)) is not None:
        return api.cluster(lab=lab, limits=limits)
    settings = json.loads(wanted.settings) | dict(
        _setting(one, "--ha-set") for one in config.getoption("ha_set")
    )
    return api.cluster(wanted.what, limits=limits, **settings)


def _limits(config: pytest.Config) -> Limits:
    from outlast.api import Limits
    from outlast.units import parse_duration_s

    found = {}
    for name, key in (
        ("ha_ready_timeout", "ready_s"),
        ("ha_failover_timeout", "failover_s"),
        ("ha_lag_limit", "lag_s"),
    ):
        if text := config.getini(name):
            try:
                found[key] = parse_duration_s(text)
            except ValueError as error:
                raise pytest.UsageError(f"{name}: {error}") from error
    return Limits(**found)


@contextlib.contextmanager
def _alone(config: pytest.Config) -> Iterator[None]:
    """Have a lab that is up to ourselves: workers of pytest-xdist, and other runs, take turns."""
    lab = _lab(config)
    if lab is None:
        yield
        return
    from outlast.api.evidence import exclusive_lab

    with exclusive_lab(lab, _limits(config).ready_s):
        yield


def _cluster_of(item: pytest.Item) -> Cluster | None:
    """Return the cluster that a test uses, itself or by a fixture of its own; None when it uses none."""
    found = getattr(item, "funcargs", {}).get(FIXTURE)
    return found if found is not None and "outlast.api" in sys.modules else None


def _unavailable(error: Any, config: pytest.Config) -> NoReturn:
    words = f"no cluster or fault for this test: {_words(error)}"
    if config.getoption("ha_required") or config.getini("ha_required"):
        pytest.fail(words, pytrace=False)
    pytest.skip(words)


def _words(error: Any) -> str:
    return f"{error.message} ({error.hint})" if error.hint else str(error.message)
