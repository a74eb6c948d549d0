from holdfast.api import Cluster as Cluster
from holdfast.api import Injected as Injected
from holdfast.api import Limits as Limits
from holdfast.api import OwnCluster as OwnCluster
from holdfast.api import Recorded as Recorded
from holdfast.api import Recording as Recording
from holdfast.api import cluster as cluster
from holdfast.errors import HoldfastError as HoldfastError

__version__: str
