"""One process of a training that several share; torchrun starts it, on behalf of a worker that holds the run's lock.

Arguments: the job as JSON, and the token of that lock.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import torch

from ltgen_bench.device import pick_device
from ltgen_bench.errors import RunFailed, UsageError
from ltgen_bench.launch.process import die_with_parent
from ltgen_bench.launch.worker import Worker
from ltgen_bench.runs.job import Job
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import write_json
from ltgen_bench.training.data_parallel import ProcessGroup
from ltgen_bench.training.loop import Stopped


def main() -> int:
    die_with_parent(os.getppid())
    job = Job.from_json(json.loads(sys.argv[1]))
    device = pick_device(job.execution.device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    worker = Worker(job, device)

    def stop(*_: object) -> None:
        worker.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        processes = ProcessGroup.join(device)
        worker.silent = not processes.is_main
        with lock.share(lock.Lock(job.lock.absolute(), sys.argv[2])):
            worker.train(worker.load(), processes)
    except (Stopped, lock.Lost) as stopped:
        worker.say(str(stopped))
    except Exception as error:
        fault = job.run_folder.rank_failed
        if not fault.exists():  # the first one to fail is the cause
            known = isinstance(error, RunFailed | UsageError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            write_json(fault, {"reason": reason, "usage": isinstance(error, UsageError)})
        raise
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
