"""A pipeline reads a real Kafka live while its broker is killed and paused, and is killed itself: nothing is lost."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipelines.connectors import kafka
from pipelines.connectors.feeds import Unreachable
from pipelines.connectors.generate import Generated
from rollups import Store
from tests.pipelines.kills import killed

if TYPE_CHECKING:
    from tests.pipelines.conftest import RunLive

pytestmark = [pytest.mark.kafka, pytest.mark.prism]

_VERSION = "4.4.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>streamsketch</groupId><artifactId>kafka</artifactId><version>1</version><dependencies><dependency>
<groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{_VERSION}</version>
</dependency></dependencies></project>"""
_PATIENCE = 120.0  # seconds, for what takes a few where nothing else is going on
_EVENTS = 10_000  # a second
_MESSAGES = 1_000_000
_PARTITIONS = 4
_KILLS = 5
_PAUSE = 30.0  # seconds
_KEYSTORE = "changeit"


@pytest.fixture(scope="session")
def kafka_jars(pytestconfig: pytest.Config) -> Path:
    """Kafka's own program, fetched once by Maven."""
    assert pytestconfig.cache is not None
    place = pytestconfig.cache.mkdir("kafka") / _VERSION
    if not (place / "complete").exists():
        maven = shutil.which("mvn")
        if not maven or not shutil.which("java"):
            pytest.skip("Kafka is not there, and without Maven and Java it cannot be had")
        place.mkdir(exist_ok=True)
        (place / "pom.xml").write_text(_POM)
        command = [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={place}/lib"]
        subprocess.run(command, cwd=place, check=True, timeout=600)
        (place / "complete").touch()
    return place / "lib"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Broker:
    """One broker of Kafka on this machine, which keeps its data when it is killed."""

    folder: Path
    jars: Path
    port: int
    guarded: int  # the port where names, passwords and TLS are asked for
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def configure(self) -> None:
        controller = free_port()
        guarded = f"SASL_SSL://127.0.0.1:{self.guarded}"
        self._make_key()
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.address},{guarded},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address},{guarded}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                'org.apache.kafka.common.security.plain.PlainLoginModule required user_ana="open sesame";'
            ),
            "ssl.keystore.location": f"{self.folder}/key.p12",
            "ssl.keystore.password": _KEYSTORE,
            "ssl.keystore.type": "PKCS12",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": f"{self.folder}/data",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "broker.session.timeout.ms": "2000",  # or a broker that was killed waits for its own ghost
            "broker.heartbeat.interval.ms": "500",
        }
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / "server.properties").write_text(lines)
        formatting = self._java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c")
        subprocess.run(formatting, check=True, timeout=60, capture_output=True)

    def _make_key(self) -> None:
        """A key of the broker's own, and the certificate that clients trust."""
        store = ["-alias", "broker", "-keystore", "key.p12", "-storetype", "PKCS12", "-storepass", _KEYSTORE]
        named = ["-keyalg", "RSA", "-dname", "CN=localhost", "-ext", "SAN=ip:127.0.0.1", "-validity", "2"]
        for arguments in (["-genkeypair", *named], ["-exportcert", "-rfc", "-file", "ca.pem"]):
            command = ["keytool", *arguments, *store]
            subprocess.run(command, cwd=self.folder, check=True, timeout=60, capture_output=True)

    def _java(self, program: str, *arguments: str) -> list[str]:
        java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-cp", f"{self.jars}/*", program, *arguments]
        return [*java, f"{self.folder}/server.properties"]

    def start(self) -> None:
        with (self.folder / "said.txt").open("ab") as said:
            self.process = subprocess.Popen(self._java("kafka.Kafka"), stdout=said, stderr=said)
        end = time.monotonic() + _PATIENCE
        while True:
            assert self.process.poll() is None, (self.folder / "said.txt").read_text()[-2000:]
            assert time.monotonic() < end
            try:
                if AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                time.sleep(0.2)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def pause(self, seconds: float) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def broker(tmp_path: Path, kafka_jars: Path) -> Iterator[Broker]:
    folder = tmp_path / "kafka"
    folder.mkdir()
    one = Broker(folder, kafka_jars, free_port(), free_port())
    one.configure()
    try:
        one.start()
        admin = AdminClient({"bootstrap.servers": one.address})  # while it lives, its answers come
        admin.create_topics([NewTopic("events", _PARTITIONS, 1)])["events"].result(30)
        yield one
    finally:
        one.kill()


@dataclass
class Load:
    """Produces events at their times, in a thread, whatever becomes of the broker."""

    broker: Broker
    source: Generated

    def __post_init__(self) -> None:
        settings = {"bootstrap.servers": self.broker.address, "enable.idempotence": True, "log_level": 0}
        self.producer = Producer(settings | {"delivery.timeout.ms": 120_000, "linger.ms": 20})
        self.lost = 0
        self.thread = threading.Thread(target=self._produce)
        self.thread.start()

    def _produce(self) -> None:
        assert self.source.limit
        for number in range(self.source.limit):
            while time.time() < self.source.start + number / self.source.events:
                self.producer.poll(0.01)
            self._send(self.source.payload(number), str(number % 97))
        self.lost += self.producer.flush(_PATIENCE)

    def _send(self, payload: bytes, key: str) -> None:
        while True:
            try:
                return self.producer.produce("events", payload, key, on_delivery=self._delivered)
            except BufferError:  # as much waits as may wait
                self.producer.poll(0.1)

    def _delivered(self, problem: object, _: object) -> None:
        self.lost += problem is not None

    def wait(self) -> None:
        self.thread.join(self.source.limit / _EVENTS + _PATIENCE)
        assert not self.thread.is_alive()
        assert not self.lost


def expected(source: Generated) -> Counter[tuple[datetime, str]]:
    assert source.limit
    events = [source.event(number) for number in range(source.limit)]
    return Counter((datetime.fromtimestamp(of["time"] // 4 * 4, UTC), of["lang"]) for of in events)


def counts(store: Path) -> dict[tuple[datetime, str], int]:
    if not store.exists():
        return {}
    with Store(str(store)) as opened:
        rows = opened.query(by=["lang"], step=timedelta(seconds=4), open=True) if opened.bounds() else ()
        return {(row.start, row.group["lang"]): row.values["count"] for row in rows}


def flags_of(broker: Broker, tmp_path: Path) -> list[str]:
    source = f"kafka://{broker.address}/events?group=test&bound=3s"
    by = ["--event-time", "time", "--by", "lang", "--window", "4s, lateness 10s, early every 1s"]
    return ["--input", source, "--store", f"{tmp_path}/live.db", *by]


def committed(broker: Broker) -> dict[int, int]:
    """The offset of each partition that the group has committed, for those who look at lags."""
    asked = ConsumerGroupTopicPartitions("test", [TopicPartition("events", number) for number in range(_PARTITIONS)])
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    (told,) = admin.list_consumer_group_offsets([asked]).values()
    return {place.partition: place.offset for place in told.result(30).topic_partitions or ()}


def ends(broker: Broker) -> dict[int, int]:
    """The offset behind the last message of each partition."""
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "nobody"})
    places = [TopicPartition("events", number) for number in range(_PARTITIONS)]
    try:
        return {place.partition: consumer.get_watermark_offsets(place, 30)[1] for place in places}
    finally:
        consumer.close()


def events(limit: int) -> Generated:
    return Generated(start=float(int(time.time()) + 4), events=_EVENTS, limit=limit)


def test_nothing_is_lost_or_doubled_when_the_broker_is_killed_and_paused(
    tmp_path: Path, run_live: RunLive, broker: Broker
) -> None:
    source = events(_MESSAGES)
    load, chance = Load(broker, source), random.Random(3)
    store = tmp_path / "live.db"
    with run_live("rollup", *flags_of(broker, tmp_path)) as run:
        run.wait_for(lambda: sum(counts(store).values()) > 5000, "it reads")
        for _ in range(_KILLS):
            broker.kill()
            time.sleep(chance.uniform(0, 2))
            broker.start()
            time.sleep(chance.uniform(1, 3))
        broker.pause(_PAUSE)
        load.wait()
        run.wait_for(lambda: sum(counts(store).values()) == source.limit, "it read all")
        run.wait_for(lambda: committed(broker) == ends(broker), "all is committed")
        run.press_ctrl_c()
        run.wait_for_the_end()
        assert f"rollup: {source.limit:,} read = {source.limit:,} used" in run.said()
    assert counts(store) == expected(source)


def test_nothing_is_lost_or_doubled_when_the_pipeline_is_killed(
    tmp_path: Path, run_live: RunLive, broker: Broker
) -> None:
    source = events(_MESSAGES)
    load, chance = Load(broker, source), random.Random(4)
    state, store = tmp_path / "state", tmp_path / "live.db"
    flags = [*flags_of(broker, tmp_path), "--state", str(state)]
    for _ in range(_KILLS):
        with run_live("rollup", *flags) as run:
            assert killed(run, state, chance, open_for=timedelta(seconds=14)) >= 1000
    load.wait()
    with run_live("rollup", *flags) as run:
        run.wait_for(lambda: sum(counts(store).values()) == source.limit, "it read all")
        run.press_ctrl_c()
        run.wait_for_the_end()
    assert counts(store) == expected(source)
    lines = map(orjson.loads, (state / "marks.jsonl").read_bytes().splitlines())
    *_, last = (line["mark"]["feed"]["offsets"] for line in lines if "mark" in line)
    for partition, offset in committed(broker).items():
        assert 0 < offset <= last[str(partition)] <= ends(broker)[partition]


def test_a_wrong_topic_and_wrong_credentials_are_told_in_a_sentence(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unreachable, match=r"there is no topic 'evnets' at .*: create it, or see how it is written"):
        kafka.input_of(f"kafka://{broker.address}/evnets").check()
    monkeypatch.setenv("KAFKA_PASSWORD", "open sesame")
    guarded = (
        f"kafka://127.0.0.1:{broker.guarded}/events?username=ana&password=env:KAFKA_PASSWORD&ca={broker.folder}/ca.pem"
    )
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce("events", b"a secret")
    assert producer.flush(30) == 0
    feed = kafka.input_of(guarded).open(None)
    end = time.monotonic() + _PATIENCE
    while not (found := feed.poll(1)):
        assert time.monotonic() < end
    feed.close()
    assert found[0].payload == b"a secret"
    for name, value in (("username=ana", "username=bea"), ("env:KAFKA_PASSWORD", f"file:{tmp_path}/other")):
        (tmp_path / "other").write_text("open barley")
        with pytest.raises(Unreachable, match=r"refuses the credentials: .*: see username, password and ca"):
            kafka.input_of(guarded.replace(name, value)).check()
    with pytest.raises(Unreachable, match=r"refuses the credentials: .*: see username, password and ca"):
        kafka.input_of(guarded.partition("&ca=")[0]).check()  # nobody vouches for the broker's certificate
