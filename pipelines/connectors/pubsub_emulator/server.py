"""Speaks Pub/Sub's protocol, google.pubsub.v1 over gRPC: Google's client libraries work with it as they are."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from pipelines.connectors.pubsub_emulator.backlog import Backlog, Delivery

_PULL_WAIT = 1.0  # seconds until a pull that finds nothing says so
_THREADS = 64  # calls at a time; a streaming pull is one, and its requests another
_EMPTY = empty_pb2.Empty


class Emulator:
    """A Pub/Sub on this machine alone: `with Emulator() as emulator`, and PUBSUB_EMULATOR_HOST is `emulator.host`.

    It knows topics and subscriptions (create, get, list, delete), publish, pull, streaming pull, acknowledge, modify
    ack deadline, redelivery when that passed, and ordering keys. What it does not know (filters, dead letters, push,
    snapshots, seek, schemas, exactly-once delivery) it refuses as UNIMPLEMENTED or passes over where it changes
    nothing. It keeps everything in memory, for as long as it runs, and asks nobody for credentials.
    """

    def __init__(self, port: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topics: dict[str, Any] = {}
        self._subscriptions: dict[str, tuple[Any, Backlog[Any]]] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(self._handlers())
        try:
            self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        except RuntimeError as error:
            raise ValueError(f"port {port} cannot be listened on: take one that is free, or 0") from error

    @property
    def host(self) -> str:
        """What PUBSUB_EMULATOR_HOST has to be."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Until somebody stops it."""
        self._server.wait_for_termination()

    def stop(self) -> None:
        """Ends all calls; what was not acknowledged is gone."""
        self._server.stop(grace=0).wait()

    def unacknowledged(self, subscription: str) -> int:
        """How many messages a subscription still has to deliver, or waits to be acknowledged."""
        return len(self._subscriptions[subscription][1])

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        unary = grpc.unary_unary_rpc_method_handler

        def method(behaviour: Callable[[Any, grpc.ServicerContext], Any], request: Any, response: Any) -> Any:
            serialize = response.SerializeToString if response is _EMPTY else response.serialize
            return unary(behaviour, request.deserialize, serialize)

        publisher = {
            "CreateTopic": method(self._create_topic, types.Topic, types.Topic),
            "GetTopic": method(self._get_topic, types.GetTopicRequest, types.Topic),
            "ListTopics": method(self._list_topics, types.ListTopicsRequest, types.ListTopicsResponse),
            "DeleteTopic": method(self._delete_topic, types.DeleteTopicRequest, _EMPTY),
            "Publish": method(self._publish, types.PublishRequest, types.PublishResponse),
        }
        subscriber = {
            "CreateSubscription": method(self._create_subscription, types.Subscription, types.Subscription),
            "GetSubscription": method(self._get_subscription, types.GetSubscriptionRequest, types.Subscription),
            "ListSubscriptions": method(
                self._list_subscriptions, types.ListSubscriptionsRequest, types.ListSubscriptionsResponse
            ),
            "DeleteSubscription": method(self._delete_subscription, types.DeleteSubscriptionRequest, _EMPTY),
            "Pull": method(self._pull, types.PullRequest, types.PullResponse),
            "Acknowledge": method(self._acknowledge, types.AcknowledgeRequest, _EMPTY),
            "ModifyAckDeadline": method(self._modify, types.ModifyAckDeadlineRequest, _EMPTY),
            "StreamingPull": grpc.stream_stream_rpc_method_handler(
                self._streaming_pull,
                types.StreamingPullRequest.deserialize,
                types.StreamingPullResponse.serialize,
            ),
        }
        return (
            grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
            grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
        )

    def _create_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            if request.name in self._topics:
                _refuse(context, grpc.StatusCode.ALREADY_EXISTS, f"there is a topic {request.name}")
            self._topics[request.name] = request
        return request

    def _get_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._topic(request.topic, context)

    def _list_topics(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        topics = [topic for name, topic in sorted(self._topics.items()) if name.startswith(f"{request.project}/")]
        return types.ListTopicsResponse(topics=topics)

    def _delete_topic(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._topic(request.topic, context)
        with self._lock:
            self._topics.pop(request.topic, None)
        return _EMPTY()

    def _publish(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._topic(request.topic, context)
        if not request.messages:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "there is no message to publish")
        for message in request.messages:
            if not message.data and not message.attributes:
                _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "a message has data or attributes, or both")
        with self._lock:
            for message in request.messages:
                message.message_id = str(next(self._ids))
                types.PubsubMessage.pb(message).publish_time.GetCurrentTime()
            for subscription, backlog in self._subscriptions.values():
                if subscription.topic == request.topic:
                    ordered = subscription.enable_message_ordering
                    backlog.put((message, message.ordering_key if ordered else "") for message in request.messages)
        return types.PublishResponse(message_ids=[message.message_id for message in request.messages])

    def _create_subscription(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._topic(request.topic, context)
        for name in ("filter", "push_config", "dead_letter_policy", "enable_exactly_once_delivery"):
            if getattr(request, name):
                _refuse(context, grpc.StatusCode.UNIMPLEMENTED, f"this emulator has no {name.replace('_', ' ')}")
        request.ack_deadline_seconds = request.ack_deadline_seconds or 10
        if not 10 <= request.ack_deadline_seconds <= 600:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "ack_deadline_seconds must be from 10 to 600")
        with self._lock:
            if request.name in self._subscriptions:
                _refuse(context, grpc.StatusCode.ALREADY_EXISTS, f"there is a subscription {request.name}")
            self._subscriptions[request.name] = request, Backlog(request.ack_deadline_seconds, clock=self._clock)
        return request

    def _get_subscription(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._subscription(request.subscription, context)[0]

    def _list_subscriptions(self, request: Any, context: grpc.ServicerContext) -> Any:
        del context
        known = sorted(self._subscriptions.items())
        of_project = [kept for name, (kept, _) in known if name.startswith(f"{request.project}/")]
        return types.ListSubscriptionsResponse(subscriptions=of_project)

    def _delete_subscription(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._subscription(request.subscription, context)
        with self._lock:
            self._subscriptions.pop(request.subscription, None)
        return _EMPTY()

    def _pull(self, request: Any, context: grpc.ServicerContext) -> Any:
        _, backlog = self._subscription(request.subscription, context)
        if request.max_messages < 1:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "max_messages must be at least 1")
        wait = 0.0 if request.return_immediately else _PULL_WAIT
        taken = backlog.take(request.max_messages, wait, wanted=context.is_active)
        return types.PullResponse(received_messages=list(map(_received, taken)))

    def _acknowledge(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._subscription(request.subscription, context)[1].acknowledge(request.ack_ids)
        return _EMPTY()

    def _modify(self, request: Any, context: grpc.ServicerContext) -> Any:
        _, backlog = self._subscription(request.subscription, context)
        if not 0 <= request.ack_deadline_seconds <= 600:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "ack_deadline_seconds must be from 0 to 600")
        for ack_id in request.ack_ids:
            backlog.modify(ack_id, request.ack_deadline_seconds)
        return _EMPTY()

    def _streaming_pull(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        first = next(requests)
        _, backlog = self._subscription(first.subscription, context)
        most = first.max_outstanding_messages if first.max_outstanding_messages > 0 else 1000
        threading.Thread(target=_listen, args=(requests, backlog), daemon=True).start()
        while context.is_active():
            taken = backlog.take(min(most, 1000), _PULL_WAIT, first.stream_ack_deadline_seconds, context.is_active)
            if taken:
                yield types.StreamingPullResponse(received_messages=list(map(_received, taken)))

    def _topic(self, name: str, context: grpc.ServicerContext) -> Any:
        if name not in self._topics:
            _refuse(context, grpc.StatusCode.NOT_FOUND, f"there is no topic {name}")
        return self._topics[name]

    def _subscription(self, name: str, context: grpc.ServicerContext) -> tuple[Any, Backlog[Any]]:
        if name not in self._subscriptions:
            _refuse(context, grpc.StatusCode.NOT_FOUND, f"there is no subscription {name}")
        return self._subscriptions[name]


def _listen(requests: Iterator[Any], backlog: Backlog[Any]) -> None:
    """What a streaming client says while it is sent messages."""
    try:
        for request in requests:
            backlog.acknowledge(request.ack_ids)
            for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True):
                backlog.modify(ack_id, seconds)
    except grpc.RpcError:
        return  # the client is gone; what it had is delivered again when its deadline passed


def _received(delivery: Delivery[Any]) -> Any:
    return types.ReceivedMessage(ack_id=delivery.ack_id, message=delivery.message)


def _refuse(context: grpc.ServicerContext, status: grpc.StatusCode, why: str) -> NoReturn:
    context.abort(status, why)
    raise AssertionError(why)
