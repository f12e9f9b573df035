"""Ray as the launcher: places runs, survives the loss of anything, and leaves nothing behind. No GPU is needed: Ray
counts what it is told to count."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ltgen_bench
import ltgen_bench.methods
from ltgen_bench.cli.work import pick_launcher
from ltgen_bench.errors import UsageError
from ltgen_bench.launch import launcher, process
from ltgen_bench.launch.launcher import Resources, stages
from ltgen_bench.launch.ray_cluster import Cluster
from ltgen_bench.launch.worker import Worker
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Execution, Job

pytestmark = [
    pytest.mark.accidents,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]

SETTINGS = [
    *("net.channels=32,32", "net.layers=1", "net.dropout=0.1"),
    *("train.steps=60", "train.batch=8", "train.warmup=5", "train.ema=0.5"),
    *("sample.images=120", "sample.steps=2"),
]
OPTIONS = [word for setting in SETTINGS for word in ("--set", setting)]
OPTIONS += ["--features", "efflite0@32", "--device", "cpu", "--checkpoint-every", "0.1"]
SEEDS = (0, 1)
WEIGHTS = "model/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a slow method, known to this process and those that it starts."""
    folder = tmp_path_factory.mktemp("plugins") / "methods"
    folder.mkdir()
    shutil.copy(Path(__file__).parent / "programs" / "methods" / "slow.py", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ltgen_bench.methods, "__path__", [*ltgen_bench.methods.__path__, str(folder)])
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_worker_niceness", "0")
        yield folder


@pytest.fixture(autouse=True)
def environment(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTGEN_PLUGINS", str(plugins.parent))


@pytest.fixture(scope="module")
def cluster(plugins: Path) -> Iterator[Any]:
    """Two machines of one core, to Ray's knowledge, one of them with two GPUs."""
    from ray.cluster_utils import Cluster as Machines

    os.environ["LTGEN_PLUGINS"] = str(plugins.parent)  # for the workers of the machines
    quiet = {"include_dashboard": False}
    machines = Machines(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 2, **quiet})
    machines.add_node(num_cpus=1, num_gpus=0)
    machines.wait_for_nodes()
    yield machines
    del os.environ["LTGEN_PLUGINS"]
    machines.shutdown()


def jobs_of(runs: Path, method: str = "slow") -> list[Job]:
    cpu = Execution("cpu", checkpoint_seconds=0.1)
    request = Request([method], ["digitslt"], SEEDS, settings=SETTINGS, features="efflite0@32", execution=cpu)
    return plan(request, runs)


@pytest.fixture(scope="module")
def undisturbed(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Job]:
    """The runs, done in this process without any trouble."""
    jobs = jobs_of(tmp_path_factory.mktemp("undisturbed"))
    for job in jobs:
        Worker(job).run()
    return jobs


def assert_same(jobs: list[Job], undisturbed: list[Job]) -> None:
    for job, other in zip(jobs, undisturbed, strict=True):
        assert (job.run_folder.path / WEIGHTS).read_bytes() == (other.run_folder.path / WEIGHTS).read_bytes()
        mine, theirs = (j.run_folder.record(j.eval.eval_id) for j in (job, other))
        assert mine is not None
        assert theirs is not None
        assert mine.scores == theirs.scores


def words_of(runs: Path, method: str = "slow") -> list[str]:
    """The command, without `ltgen-bench`."""
    words = ["run", "--method", method, "--dataset", "digitslt", "--seeds", ",".join(map(str, SEEDS))]
    return [*words, *OPTIONS, "--runs", str(runs)]


class Command:
    """`ltgen-bench run` in a process of its own."""

    def __init__(self, runs: Path, *options: str, method: str = "slow") -> None:
        self.output = runs.with_name(f"output-{time.monotonic_ns()}.txt")
        words = words_of(runs, method)
        decoy = runs.with_name("ltgen_bench") / "__init__.py"  # must not be what any process imports
        decoy.parent.mkdir(exist_ok=True)
        decoy.write_text("raise ImportError('not the package that was asked')")
        root = str(Path(ltgen_bench.__file__).parent.parent)
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                process.command("ltgen_bench.cli", *words, *options),
                cwd=runs.parent,
                env=os.environ | {"PYTHONPATH": root},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> tuple[int, str]:
        code = self.process.wait(300)
        return code, self.output.read_text()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def training(jobs: list[Job], since: float = 0) -> list[Job]:
    """The jobs that are past step 10 of their training now, by what they have said since then."""
    found = []
    for job in jobs:
        progress = job.run_folder.progress()
        if (
            job.run_folder.owner()
            and progress.get("stage") == "training"
            and progress["done"] >= 10
            and progress["time"] > since
        ):
            found.append(job)
    return found


def gpus_of(job: Job) -> list[str]:
    """The GPU of each worker that the job has had."""
    return re.findall(r"CUDA_VISIBLE_DEVICES=(\S+)", job.run_folder.log.read_text())


def processes(word: str) -> list[int]:
    """Processes, not zombies, with this word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if word.encode() in words and state != "Z" and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


# Each test leaves the cluster as it was; the one that loses a machine is last. Groups divide the time of all accidents
# into halves: without one, a test may wait behind another while the other process has nothing to do.


@pytest.mark.xdist_group("cluster")
def test_what_never_fits_is_refused_at_once(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no machine has the 3 GPU and 1 CPU that each run asks for"):
        Cluster(Resources(3, 1), cluster.address).__enter__()
    with pytest.raises(UsageError, match=r"no machine has the 0\.5 GPU and 8 CPU .* the largest has 2 GPU and 1 CPU"):
        Cluster(Resources(0.5, 8), cluster.address).__enter__()
    with Cluster(Resources(0.5, 0.5), cluster.address) as ray:
        assert ray.slots == 2
    with Cluster(Resources(0, 1), cluster.address) as ray:
        assert ray.slots == 2
    with Cluster(Resources(0, 1), cluster.address, max_parallel=1) as ray:
        assert ray.slots == 1


@pytest.mark.xdist_group("run")
def test_a_wrong_address_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    got = Command(tmp_path / "runs", "--address", address).end()
    assert got[0] == 2
    assert f"error: --address {address}: no Ray cluster answers there" in got[1]
    assert "Traceback" not in got[1]


@pytest.mark.xdist_group("run")
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:8265", "write HOST:PORT of the cluster's head, as in 10.0.0.1:6379, or auto"),
        ("127.0.0.1:1", "no Ray cluster answers there ("),
    ],
)
def test_an_address_of_the_environment_is_called_by_its_name(
    address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    options = (None, None, None, None, None, "cpu")
    assert not isinstance(pick_launcher(*options, runs=1), Cluster)  # a single run needs no Ray
    chosen = pick_launcher(*options, runs=2)
    assert isinstance(chosen, Cluster)
    with pytest.raises(UsageError, match=re.escape(f"RAY_ADDRESS {address}: {reason}")) as error:
        chosen.__enter__()
    assert str(error.value).endswith("; without RAY_ADDRESS, Ray is started here")
    assert pick_launcher(None, "10.0.0.1:6379", *options[2:], runs=1).address == "10.0.0.1:6379"  # type: ignore[attr-defined]


@pytest.mark.xdist_group("run")
def test_a_temporary_folder_too_deep_for_rays_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    from ltgen_bench.launch.ray_connection import _short_folder

    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp/of/a/few")
    assert _short_folder() is None
    monkeypatch.setattr(tempfile, "gettempdir", lambda: f"/{'x' * 40}")
    assert _short_folder() == f"/tmp/ray-{os.getuid()}"
    monkeypatch.setenv("RAY_TMPDIR", f"/{'y' * 40}")
    with pytest.raises(UsageError, match=r"set RAY_TMPDIR to a folder with a path of at most 39 bytes, or use --launc"):
        _short_folder()
    monkeypatch.setenv("RAY_TMPDIR", "/short")
    assert _short_folder() is None


@pytest.mark.xdist_group("run")
def test_a_cluster_that_lets_nobody_in_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster\nmore")  # after twenty seconds

    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        cluster = Cluster(Resources(), f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(UsageError, match=r"\(Failed to connect to Ray cluster\); does it want a token"):
            cluster.__enter__()


@pytest.mark.xdist_group("cluster")
def test_sampling_is_shared_by_all_that_is_there(
    cluster: Any, tmp_path: Path, undisturbed: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "PART", 60)
    monkeypatch.setattr("ltgen_bench.sampling.shards.SHARD", 60)
    job = jobs_of(tmp_path / "runs")[0]

    def left() -> list[int]:
        return [len(group) for group in stages(job, workers=2)]

    assert left() == [1, 2, 1]
    shutil.copytree(undisturbed[0].run_folder.model, job.run_folder.model)
    assert left() == [2, 1]

    class Quiet:
        def started(self, job: Job) -> None: ...
        def progress(self, job: Job, progress: Any) -> None: ...
        def ended(self, job: Job, outcome: str, reason: str) -> None: ...

    with Cluster(Resources(0, 1), cluster.address) as ray:
        assert ray([job], Quiet()) == {"done": 1}
    log = job.run_folder.log.read_text()
    assert "part 1 of 2 of the samples" in log
    assert "part 2 of 2 of the samples" in log
    assert left() == [1]  # for other scores the same images serve
    assert not job.run_folder.shards(job.eval.sample).exists()
    assert_same([job], undisturbed[:1])


@pytest.mark.xdist_group("cluster")
def test_each_run_has_a_gpu_and_a_lost_ray_worker_costs_nothing(
    cluster: Any, plugins: Path, tmp_path: Path, undisturbed: list[Job]
) -> None:
    (plugins / "slowly").touch()
    jobs = jobs_of(tmp_path / "runs")
    command = Command(tmp_path / "runs", "--address", cluster.address, "--gpus-per-run", "1", "--cpus-per-run", "0.5")
    wait_for(lambda: len(training(jobs)) == 2, "two trainings")
    gpus = [gpus_of(job) for job in jobs]
    assert sorted(gpus) == [["0"], ["1"]]
    victim = training(jobs)[0]
    owner = victim.run_folder.owner()
    assert owner is not None
    parent = int(Path(f"/proc/{owner.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: (now := victim.run_folder.owner()) is not None and now.pid != owner.pid, "another worker")
    (plugins / "slowly").unlink()
    code, out = command.end()
    assert code == 0, out
    assert gpus_of(victim) == 2 * gpus[jobs.index(victim)]
    assert len(re.findall(r"^\[\d/2\] digitslt slow seed \d: /", out, re.MULTILINE)) == 2
    assert len(re.findall(r"(?:: |  )done$", out, re.MULTILINE)) == 2
    assert "2 done, 0 not" in out
    assert "resuming at step " in victim.run_folder.log.read_text()
    assert_same(jobs, undisturbed)


@pytest.mark.xdist_group("cluster")
def test_whatever_becomes_of_drivers_each_run_is_trained_once(
    plugins: Path, tmp_path: Path, undisturbed: list[Job], cli: Callable[..., Any]
) -> None:
    """Each driver has a Ray of its own, which ends with it."""
    runs = tmp_path / "runs"
    jobs = jobs_of(runs)

    def drive() -> Command:
        begun = time.time()
        command = Command(runs)
        wait_for(lambda: len(training(jobs, begun)) == 2, "two trainings")
        return command

    def at_rest(driver: Command) -> bool:
        """Nothing of the driver's Ray, whose folder is named after the driver, is left, and no worker."""
        ray = processes(f"_{driver.process.pid}/logs")
        return not ray and not processes(str(tmp_path)) and all(job.state == "stopped" for job in jobs)

    (plugins / "slowly").touch()
    first = drive()
    assert processes(f"_{first.process.pid}/logs")
    got = cli(*words_of(runs))  # a second driver leaves the runs alone
    assert got.code == 1
    assert got.out.count("running elsewhere (process ") == 2

    first.process.send_signal(signal.SIGINT)
    code, out = first.end()
    assert code == 130
    assert out.endswith("stopped; run the same command to go on\n")
    assert not processes(str(tmp_path))
    wait_for(lambda: at_rest(first), "Ray to end")
    assert all((job.run_folder.path / "checkpoint.pt").exists() for job in jobs)

    second = drive()
    second.process.kill()
    second.end()
    # Ray lives on for a moment, and while it does it may give a run to a worker.
    wait_for(lambda: at_rest(second), "Ray and the workers to end")

    (plugins / "slowly").unlink()
    code, out = Command(runs).end()
    assert code == 0, out
    assert_same(jobs, undisturbed)
    for job in jobs:
        log = job.run_folder.log.read_text()
        assert log.count("resuming at step ") >= 2
        assert log.count("trained in ") == 1


@pytest.mark.xdist_group("run")
def test_a_failed_run_is_not_tried_again_and_stops_no_other(plugins: Path, tmp_path: Path) -> None:
    (plugins / "burst.py").write_text(
        "from ltgen_bench.training.method import Method\n\n\nclass Burst(Method):\n    name = 'burst'\n\n"
        "    def losses(self, step, task):\n        if step.seed == 0:\n            raise ValueError('no luck')\n"
        "        return {}\n"
    )
    # The run that fails comes before the other.
    code, out = Command(tmp_path / "runs", "--max-parallel", "1", method="burst").end()
    failed, other = jobs_of(tmp_path / "runs", "burst")
    assert code == 1
    assert (failed.state, other.state) == ("failed", "done")
    assert "failed: ValueError: no luck" in out
    assert f"  log: {failed.run_folder.log}" in out
    assert "1 done, 1 not" in out
    assert failed.run_folder.log.read_text().count("process ") == 1


@pytest.mark.xdist_group("cluster")
def test_a_lost_machine_costs_nothing(cluster: Any, plugins: Path, tmp_path: Path, undisturbed: list[Job]) -> None:
    (plugins / "slowly").touch()
    jobs = jobs_of(tmp_path / "runs")
    command = Command(tmp_path / "runs", "--address", cluster.address)
    wait_for(lambda: len(training(jobs)) == 2, "a training on each machine")
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    wait_for(lambda: sum(job.run_folder.owner() is not None for job in jobs) == 1, "the worker there to end")
    (plugins / "slowly").unlink()  # the other machine takes the run when its own is done
    code, out = command.end()
    assert code == 0, out
    assert sum("resuming at step " in job.run_folder.log.read_text() for job in jobs) == 1
    assert_same(jobs, undisturbed)
