from outlast.api import Cluster as Cluster
from outlast.api import Injected as Injected
from outlast.api import Limits as Limits
from outlast.api import OwnCluster as OwnCluster
from outlast.api import Recorded as Recorded
from outlast.api import Recording as Recording
from outlast.api import cluster as cluster
from outlast.checkers.base import Evidence as Evidence
from outlast.checkers.base import Finding as Finding
from outlast.checkers.base import Verdict as Verdict
from outlast.checkers.offline import Checked as Checked
from outlast.checkers.offline import check as check
from outlast.errors import OutlastError as OutlastError

__version__: str
