"""The load generator: the rate it keeps, and that a request's time begins when it is due."""

import asyncio
import time

from open_loop import Answers, offer, post, saturate

REQUEST = post("/recommend", b'{"user": 1}')


def serve(run, delay: float, refuse_every: int = 0) -> tuple[Answers, list[float]]:
    """Runs a load against a server that answers one request at a time, each after a delay."""
    arrivals: list[float] = []

    async def main() -> Answers:
        turn = asyncio.Lock()

        async def answer(reader, writer):
            while head := await reader.read(4096):
                assert head == REQUEST
                arrivals.append(time.perf_counter())
                refused = refuse_every and len(arrivals) % refuse_every == 0
                async with turn:
                    await asyncio.sleep(0 if refused else delay)
                status = b"503 Busy" if refused else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            return await run("127.0.0.1", server.sockets[0].getsockname()[1], lambda: REQUEST)

    return asyncio.run(main()), arrivals


def test_a_slow_service_does_not_slow_the_load_and_waiting_counts():
    answers, arrivals = serve(lambda *to: offer(*to, rate=200, seconds=0.5), delay=0.02)
    assert answers.count(200) == 100 == len(arrivals)
    assert arrivals[-1] - arrivals[0] < 1.5  # they were not held back by answers, which took 2 s
    assert answers.milliseconds(99) > 1000 > answers.milliseconds(1)


def test_answers_are_counted_by_status():
    answers, _ = serve(lambda *to: offer(*to, rate=200, seconds=0.2), delay=0, refuse_every=4)
    assert (answers.count(200), answers.count(503), answers.count(0)) == (30, 10, 0)


def test_clients_send_one_request_after_another():
    answers, _ = serve(lambda *to: saturate(*to, clients=2, seconds=0.3), delay=0.01)
    assert 4 < answers.count(200) <= 32 and answers.offered == answers.count(200) / 0.3
