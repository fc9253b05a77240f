"""The manifests for Kubernetes: what kustomize makes of them, against the operator's own definition, and each other."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import trending

FOLDER = Path(__file__).parents[2] / "templates" / "flink"
_OPERATOR = "org.apache.flink:flink-kubernetes-operator-api:1.10.0"
_KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.4.3"
_DEFINITION = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"


def manifest(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / path).read_text())
    return loaded


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [each for each in pod["spec"]["containers"] if each["name"] == name]
    return dict(found)


def submitted() -> list[str]:
    [job] = manifest("base/submit.yaml")["spec"]["template"]["spec"]["containers"]
    command: list[str] = job["command"]
    assert command[:4] == ["python", "-m", "pipelines", "trending"]
    return command[4:]


def test_what_is_submitted_is_a_command_line_that_there_is() -> None:
    options, flags = trending.Options.parse("trending", "", submitted())
    assert options.store.startswith("postgresql://")
    assert {"--runner=flink", "--environment_type=EXTERNAL"} <= set(flags)


def test_workers_listen_where_the_job_looks_for_them() -> None:
    cluster = manifest("base/cluster.yaml")["spec"]
    workers = container(cluster["taskManager"]["podTemplate"], "workers")
    [port] = [each["containerPort"] for each in workers["ports"]]
    assert f"--environment_config=localhost:{port}" in submitted()
    assert f"--flink_master={manifest('base/cluster.yaml')['metadata']['name']}-rest:8081" in submitted()


def test_there_is_a_slot_for_each_part_and_a_core_for_each_slot() -> None:
    cluster = manifest("base/cluster.yaml")["spec"]
    slots = int(cluster["flinkConfiguration"]["taskmanager.numberOfTaskSlots"])
    parallelism = slots * cluster["taskManager"]["replicas"]
    assert f"--parallelism={parallelism}" in submitted()
    assert manifest("application/job.yaml")["spec"]["job"]["parallelism"] == parallelism
    assert container(cluster["taskManager"]["podTemplate"], "workers")["resources"]["requests"]["cpu"] == str(slots)


def test_state_survives_and_is_not_dropped_silently() -> None:
    cluster, job = manifest("base/cluster.yaml")["spec"], manifest("application/job.yaml")["spec"]["job"]
    configuration = cluster["flinkConfiguration"]
    for name in ("execution.checkpointing.dir", "execution.checkpointing.savepoint-dir",
                 "high-availability.storageDir"):  # fmt: skip
        assert "://" in configuration[name]
    assert cluster["jobManager"]["replicas"] > 1
    assert job["upgradeMode"] == "savepoint"
    assert job["allowNonRestoredState"] is False


def test_metrics_are_where_they_are_looked_for() -> None:
    cluster = manifest("base/cluster.yaml")["spec"]
    port = cluster["flinkConfiguration"]["metrics.reporter.prom.port"]
    assert cluster["podTemplate"]["metadata"]["annotations"]["prometheus.io/port"] == port
    main = container(cluster["podTemplate"], "flink-main-container")  # the operator's own name of it
    assert int(port) in {each["containerPort"] for each in main["ports"]}


def fetched(cache: Path, tool: str, *command: str, **environment: str) -> Path:
    """A folder that a tool has filled once."""
    if not (cache / "complete").exists():
        program = shutil.which(tool)
        if not program:
            pytest.skip(f"needs {tool}")
        subprocess.run([program, *command], check=True, timeout=900, env={**os.environ, **environment})
        (cache / "complete").touch()
    return cache


def strict(schema: Any) -> Any:
    """The same, but fields that it does not name are refused, as `kubectl --validate=strict` does."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


Check = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def schema(pytestconfig: pytest.Config) -> dict[str, Any]:
    """What the operator takes as a FlinkDeployment, from its own artifact."""
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("flink-operator")
    place = ["-q", "-B", "dependency:copy", f"-Dartifact={_OPERATOR}", f"-DoutputDirectory={cache}"]
    [jar] = fetched(cache, "mvn", *place).glob("*.jar")
    with zipfile.ZipFile(jar) as archive:
        definition = yaml.safe_load(archive.read(_DEFINITION))
    [version] = definition["spec"]["versions"]
    assert version["name"] == "v1beta1"
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    # The newest artifact that is published knows Flink to 1.20; operators since 1.12 know 2.x.
    found["properties"]["spec"]["properties"]["flinkVersion"]["enum"] += ["v2_0", "v2_1", "v2_2"]
    found["properties"] |= {name: {} for name in ("apiVersion", "kind", "metadata")}
    made: dict[str, Any] = strict(found)
    return made


@pytest.fixture(scope="module")
def check(schema: dict[str, Any]) -> Check:
    """Raises where the operator would refuse a deployment."""
    jsonschema = pytest.importorskip("jsonschema")

    def refuse_wrong(deployment: dict[str, Any]) -> None:
        jsonschema.validate(deployment, schema)

    return refuse_wrong


@pytest.fixture(scope="module")
def built(pytestconfig: pytest.Config) -> Callable[[str], list[dict[str, Any]]]:
    """What kustomize makes of a folder."""
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("kustomize")
    program = fetched(cache, "go", "install", _KUSTOMIZE, GOBIN=str(cache)) / "kustomize"

    def build(folder: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [program, "build", FOLDER / folder], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return build


@pytest.mark.kubernetes
@pytest.mark.parametrize(
    ("folder", "kinds"), [("base", {"FlinkDeployment", "Job"}), ("application", {"FlinkDeployment"})]
)
def test_the_operator_takes_what_kustomize_makes(
    folder: str, kinds: set[str], built: Callable[[str], list[dict[str, Any]]], check: Check
) -> None:
    made = {each["kind"]: each for each in built(folder)}
    assert set(made) == kinds
    deployment = made["FlinkDeployment"]
    check(deployment)
    workers = container(deployment["spec"]["taskManager"]["podTemplate"], "workers")
    assert workers["image"] == "registry.example.com/streamsketch:0.1.0"
    assert ("job" in deployment["spec"]) == (folder == "application")


@pytest.mark.kubernetes
def test_the_pod_that_submits_is_a_pod(built: Callable[[str], list[dict[str, Any]]], schema: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    [job] = [each for each in built("base") if each["kind"] == "Job"]
    pod = schema["properties"]["spec"]["properties"]["podTemplate"]
    jsonschema.validate(job["spec"]["template"], pod)
    with pytest.raises(jsonschema.ValidationError, match="contaners"):
        jsonschema.validate({"spec": {"contaners": []}}, pod)


@pytest.mark.kubernetes
@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["spec", "flinkVersion"], "v3_0", "v3_0"),
        (["spec", "taskManager", "replicaz"], 2, "replicaz"),
        (["spec", "taskManager", "replicas"], "two", "two"),
        (["spec", "taskManager", "resource", "cpus"], 1, "cpus"),
        (["spec", "flinkConfiguration", "taskmanager.numberOfTaskSlots"], 2, "string"),
        (["spec", "podTemplate", "spec", "containers", 0, "ports", 0, "containerPort"], "metrics", "metrics"),
        (["spec", "job", "upgradeMode"], "savepoints", "savepoints"),
        (["spec", "job", "entrypoint"], "main", "entrypoint"),
    ],
)
def test_what_is_wrong_is_found(
    path: list[Any], value: object, reason: str, built: Callable[[str], list[dict[str, Any]]], check: Check
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    [deployment] = built("application")
    wrong = copy.deepcopy(deployment)
    place: Any = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError, match=reason):
        check(wrong)
