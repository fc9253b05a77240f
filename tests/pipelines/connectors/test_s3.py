"""Files on S3, as moto plays it: read, written whole, never doubled, without a trace of what was temporary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from apache_beam.io.filesystems import FileSystems
from rich.console import Console

from pipelines import collect_tweets, launch
from pipelines.options import UsageError
from transforms.windowing import WindowPolicy

pytestmark = pytest.mark.s3

TWEETS = [
    {"id": str(number), "created_at": f"2014-07-01T{number % 5:02}:00:00Z", "text": f"text {number}"}
    for number in range(500)
]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    """A client, and the address of a server that has one bucket, which holds tweets and one line that is none."""
    boto3 = pytest.importorskip("boto3", reason="needs requirements-peers.lock")
    server = pytest.importorskip("moto.server", reason="needs requirements-peers.lock").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=address)
        client.create_bucket(Bucket="bucket")
        body = b"\n".join([*map(orjson.dumps, TWEETS), b"{oops"])
        client.put_object(Bucket="bucket", Key="in/tweets.jsonl", Body=body)
        yield client, address
        client.close()
    finally:
        server.stop()
        FileSystems._pipeline_options = None


def names(client: Any) -> set[str]:
    return {found["Key"] for found in client.list_objects_v2(Bucket="bucket")["Contents"]}


def collect(address: str, **asked: Any) -> Any:
    options = collect_tweets.Options(
        input="s3://bucket/in/", output="s3://bucket/out/?by=hour&manifests=yes", interval=WindowPolicy("1h"), **asked
    )
    return launch.run("collect_tweets", collect_tweets, options, ["--s3_endpoint_url", address], Console(quiet=True))


def test_tweets_become_whole_objects_once(bucket: tuple[Any, str]) -> None:
    client, address = bucket
    ledger = collect(address, format="jsonl")
    assert (ledger.read, ledger.used, ledger.rejected) == (501, 500, 1)
    written = {name for name in names(client) if name.startswith("out/date=2014-07-01/hour=0")}
    rows = [
        orjson.loads(line)
        for name in written
        for line in client.get_object(Bucket="bucket", Key=name)["Body"].read().splitlines()
    ]
    assert sorted(row["id"] for row in rows) == sorted(tweet["id"] for tweet in TWEETS)
    assert len([name for name in names(client) if name.startswith("out/_manifests/")]) == 5
    assert not [name for name in names(client) if name.endswith(".tmp")]
    collect(address, format="jsonl")
    assert {name for name in names(client) if name.startswith("out/date=")} == written


def test_a_bucket_that_is_not_there_is_told(bucket: tuple[Any, str]) -> None:
    _, address = bucket
    options = collect_tweets.Options(input="s3://none/in/", output="s3://bucket/out/")
    with pytest.raises((UsageError, launch.RunError), match="none"):
        launch.run("collect_tweets", collect_tweets, options, ["--s3_endpoint_url", address], Console(quiet=True))
