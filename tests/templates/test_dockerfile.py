"""The image of Flex Templates, rehearsed without a container engine: each COPY and RUN in a folder of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "templates" / "dataflow"
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def instructions() -> list[tuple[str, str]]:
    """What the Dockerfile says, line by line."""
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def copies() -> list[tuple[list[str], str]]:
    """Sources and place of each COPY out of the repository."""
    parted = [rest.split() for what, rest in instructions() if what == "COPY" and not rest.startswith("--from")]
    return [(parts[:-1], parts[-1]) for parts in parted]


def test_all_that_is_copied_is_there() -> None:
    sources = [source for several, _ in copies() for source in several]
    assert not [source for source in sources if not (ROOT / source).exists()]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages and packages <= set(sources)  # noqa: PT018  the first keeps the second honest


def test_the_image_is_of_the_beam_that_the_lock_has() -> None:
    [base] = [rest for what, rest in instructions() if what == "FROM" and "beam_python" in rest]
    version = base.rpartition(":")[2]
    assert f"python{sys.version_info.major}.{sys.version_info.minor}_sdk" in base
    assert f"apache-beam=={version} " in (FOLDER / "requirements.lock").read_text()


def test_the_lock_of_the_image_has_the_versions_that_are_tested() -> None:
    def pins(path: Path) -> dict[str, str]:
        lines = [line.split()[0] for line in path.read_text().splitlines() if "==" in line and line[0].isalpha()]
        return dict(line.split("==") for line in lines)

    image, tested = pins(FOLDER / "requirements.lock"), pins(ROOT / "requirements.lock")
    assert {"apache-beam", "google-cloud-dataflow-client", "google-cloud-pubsub", "psycopg", "setuptools"} <= set(image)
    differ = {name for name in image if name in tested and image[name] != tested[name]}
    assert not differ, f"write it again, see docs/deploy.md: {differ}"


def test_the_build_names_files_and_arguments_that_there_are() -> None:
    build = yaml.safe_load((FOLDER / "cloudbuild.yaml").read_text())
    image, push, template = build["steps"]
    given = {argument.partition("=")[2].partition("=")[0] for argument in image["args"] if "--build-arg" in argument}
    assert given == {rest for what, rest in instructions() if what == "ARG"}
    [file] = [argument.partition("=")[2] for argument in image["args"] if argument.startswith("--file")]
    assert (ROOT / file).is_file()
    [tag] = [argument.partition("=")[2] for argument in image["args"] if argument.startswith("--tag")]
    assert push["args"] == ["push", tag]
    assert f"--image={tag}" in template["args"]
    assert build["images"] == [tag]
    [metadata] = [argument.partition("=")[2] for argument in template["args"] if "metadata" in argument]
    assert (ROOT / metadata.replace("$_PIPELINE", "trending")).is_file()


@pytest.mark.gcp
def test_a_linter_finds_nothing(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM debian\nRUN cd /tmp\n")
    for file, clean in ((FOLDER / "Dockerfile", True), (wrong, False)):
        done = subprocess.run([str(HADOLINT), str(file)], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == clean, done.stdout


def _run(command: list[str], place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder /template of the image, and the environment of what runs in it."""
    place = tmp_path_factory.mktemp("image")
    venv.create(place / "venv", with_pip=True)
    template = place / "template"
    template.mkdir()
    environment = {"PATH": f"{place}/venv/bin:{os.environ['PATH']}", "HOME": str(place), "NO_GCE_CHECK": "true"}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http"))}
    for what, rest in instructions():
        if what == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            for source in sources:
                _copy(ROOT / source, template / target)
        elif what == "RUN":
            _run(["sh", "-c", rest], template, environment)
        elif what == "ENV":
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                environment[name] = {"$PIPELINE": "word_count", "$IMAGE": "example/word_count:0.1.0"}.get(value, value)
    shutil.rmtree(template / "pipelines")  # only what was installed may be found
    return template, environment


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.mark.wheel
def test_the_program_that_the_launcher_starts_is_there_and_describes_a_job(image: tuple[Path, dict[str, str]]) -> None:
    template, environment = image
    assert environment["FLEX_TEMPLATE_PYTHON_PY_FILE"] == "/template/launcher.py"
    shown = _run(
        [
            "python", "launcher.py", "--input=pubsub://projects/p-project/subscriptions/s?time=at&id=id",
            "--output=gs://bucket-xyz/counts/", "--project=p-project", "--region=europe-west1",
            "--temp_location=gs://bucket-xyz/tmp", "--describe",
        ],
        template,
        environment,
    )  # fmt: skip
    assert "image of workers: example/word_count:0.1.0" in shown
    assert "pubsub_read" in shown


_WORKER = """
import apache_beam as beam, sys
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from pipelines import detect_language
worker = SubprocessSDKEnvironment(command_string=f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main")
with beam.Pipeline(runner=FnApiRunner(default_environment=worker)) as pipeline:
    detect_language.build(pipeline, detect_language.Options(input="sample:tweets.jsonl", output="found.jsonl"))
print(detect_language.__file__)
"""


@pytest.mark.wheel
def test_a_worker_starts_and_has_the_model_and_the_data_of_the_package(image: tuple[Path, dict[str, str]]) -> None:
    template, environment = image
    installed = _run(["python", "-c", _WORKER], template, environment)
    assert "site-packages" in installed
    assert len((template / "found.jsonl").read_text().splitlines()) > 100
