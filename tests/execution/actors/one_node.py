"""A Ray cluster of one node, in a process of its own: prints its address, and ends with its standard input.

What is asked for on standard input is done: the name of one of its processes is killed.
"""

import os
import sys

from ray.cluster_utils import Cluster


def main() -> None:
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 4,
            "object_store_memory": 100 << 20,
            "include_dashboard": False,
        },
    )
    print(cluster.address, flush=True)
    for line in sys.stdin:
        for info in cluster.head_node.all_processes[line.strip()]:
            os.kill(info.process.pid, 9)
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
