"""Who stamps a read, and what becomes of a stamp that cannot be true."""

import socket
import sys
import time

import pytest
from exchange import Exchange, Response
from gevent import socket as gevent_socket
from reactor import Reactor
from stamps import StampClock

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps what it receives")
def test_a_wall_clock_that_was_set_is_found_out_by_the_next_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = [3_600 * 10**9]
    real = time.time_ns
    monkeypatch.setattr(StampClock.__init__, "__defaults__", (lambda: real() + ahead[0],))
    reactor = Reactor(time.perf_counter)
    ahead[0] = 0  # as the kernel has it
    exchange = read_with(reactor)
    assert exchange.stamp == "kernel"
    assert exchange.ended == pytest.approx(time.perf_counter(), abs=1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps what it receives")
def test_a_stamp_that_cannot_be_true_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    monkeypatch.setattr(StampClock.__init__, "__defaults__", (lambda: real() - 3_600 * 10**9,))
    exchange = read_with(Reactor(time.perf_counter))  # the kernel's clock is an hour ahead, whenever one looks
    assert exchange.stamp == "user"
    assert exchange.ended == pytest.approx(time.perf_counter(), abs=1)


def test_only_a_plain_connection_on_linux_is_stamped_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    reactor = Reactor(time.perf_counter)
    with gevent_socket.socket() as connection:
        assert not reactor.prepare(connection)
    reactor.close()


def read_with(reactor: Reactor) -> Exchange:
    exchange = Exchange()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = gevent_socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        assert reactor.prepare(connection)
        with connection, far:
            far.sendall(ANSWER)
            reactor.read(connection, Response(exchange), exchange)
    reactor.close()
    assert exchange.body == b"ok"
    return exchange
