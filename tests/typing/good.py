"""Correct programs: neither checker may complain, and both must see these types."""

import asyncio
from collections.abc import Generator, Iterator
from typing import Any, assert_type

import numpy as np

import ray
from ray import DynamicObjectRefGenerator, ObjectRef, ObjectRefGenerator


@ray.remote
def add(a: int, b: int = 2) -> int:
    return a + b


@ray.remote(num_cpus=2, max_retries=0)
def shout(text: str, *, times: int = 1) -> str:
    return text.upper() * times


@ray.remote(timeout=1.5, retry_exceptions=[ValueError, OSError], max_calls=3, num_gpus=0.5)
def careful(n: int) -> int:
    return n + len(ray.get_gpu_ids())


@ray.remote(num_returns=2)
def divide(a: int, b: int) -> tuple[int, int]:
    return divmod(a, b)


@ray.remote(num_returns=0)
def log(text: str) -> None: ...


@ray.remote(typed=True)
def total(*numbers: float) -> float:
    return sum(numbers)


@ray.remote([int, int], [int])
def multiply(a: int, b: int) -> int:
    return a * b


@ray.remote([np.ndarray, np.ndarray], [np.ndarray], num_cpus=1)
def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    product: np.ndarray = np.dot(a, b)
    return product


@ray.remote([int], [int])
def again(n: int) -> ObjectRef[int]:
    return add.remote(n, n)


@ray.remote([int], [int, str])
def pair(n: int) -> tuple[int, str]:
    return n, str(n)


@ray.remote([int, int], [int])
def untold(a, b):
    return a + b


@ray.remote
def five(a: int, b: str, c: float, d: bytes, e: list[int]) -> None: ...


@ray.remote
def numbers(n: int) -> Iterator[int]:
    yield from range(n)


@ray.remote(num_cpus=1, _generator_backpressure_num_objects=2)
def words(text: str) -> Generator[str, None, int]:
    yield from text.split()
    return 3


@ray.remote(num_returns="dynamic")
def parts(text: str) -> Iterator[str]:
    yield from text


class Counter:
    def __init__(self, start: int = 0) -> None:
        self.n = start

    @ray.method(num_returns=1)
    def add(self, by: int = 1) -> int:
        self.n += by
        return self.n


# mypy believes that a decorated class is still the class; this way it knows better.
CounterActor = ray.remote(Counter)
SteadyCounter = ray.remote(max_restarts=1, num_cpus=0)(Counter)


ray.services.start_ray_local(num_workers=2)

ref = add.remote(1, 2)
assert_type(ref, ObjectRef[int])
assert_type(ray.get(ref), int)
assert_type(ray.get([ref, add.remote(1)]), list[int])
assert_type(ray.get(add.remote(ref, ref), timeout=1.5), int)
assert_type(ray.get(add.remote(1, ref)), int)
assert_type(ray.get(add.remote(a=1, b=2)), int)
assert_type(ray.get(shout.remote("a", times=2)), str)
assert_type(ray.get(shout.remote(shout.remote("a"))), str)
assert_type(ray.get(total.remote(1.0, 2.0, 3.0)), float)
assert_type(ray.get(multiply.remote(1, 2)), int)
assert_type(ray.get(multiply(1, 2)), int)
assert_type(ray.get(again.remote(2)), int)
assert_type(ray.get(dot.remote(np.zeros(2), dot.remote(np.zeros(2), np.zeros(2)))), np.ndarray)
assert_type(ray.get(add.options(num_cpus=0.5, name="small").remote(1, 2)), int)
five.remote(ref, shout.remote("b"), 1.0, ray.put(b"d"), [1])

quotient, rest = divide.remote(7, 2)
number, text = pair.remote(1)
assert_type(log.remote("done"), None)
assert_type(add.options(num_returns=0).remote(1), None)
assert_type(divide.options(num_returns=1).remote(7, 2), ObjectRef[tuple[int, int]])
ray.get(untold.remote(1, 2)).bit_length()

stored = ray.put([1, 2])
assert_type(stored, ObjectRef[list[int]])
assert_type(ray.get(stored), list[int])
ready, waiting = ray.wait([ref], num_returns=1, timeout=0)
assert_type(ready, list[ObjectRef[int]])
for done in ray.as_completed([ref]):
    assert_type(ray.get(done), int)
by_reference: dict[ObjectRef[int], str] = {ref: ref.hex()}

counter = CounterActor.remote(5)
print(ray.get(counter.add.remote(2)), ray.get(counter.add.options(num_returns=1).remote()))
CounterActor.options(name="counter", max_concurrency=2).remote()
found: ray.actor.ActorHandle = ray.get_actor("counter")
ray.kill(found, no_restart=True)
SteadyCounter.remote()


async def main() -> int:
    first = await ref
    assert_type(first, int)
    assert_type(await asyncio.gather(ref, shout.remote("a")), tuple[int, str])
    return ref.future().result()


with ray.init(num_cpus=2) as context:
    print(context["address"], ray.cluster_resources()["CPU"])
ray.cancel(ref, force=True)
ray.visualize_computation_graph(file_path="graph.svg", view=False)
ray.shutdown()


def streams() -> None:
    stream = numbers.remote(3)
    assert_type(stream, ObjectRefGenerator[int])
    assert_type(next(stream), ObjectRef[int])
    for ref in words.remote("a b"):
        assert_type(ray.get(ref), str)
    assert_type(numbers.options(num_returns="streaming", num_cpus=0).remote(ray.put(1)), ObjectRefGenerator[int])
    assert_type(numbers.options(num_returns="dynamic").remote(1), ObjectRef[DynamicObjectRefGenerator])
    assert_type(ray.get(parts.remote("ab")), DynamicObjectRefGenerator)
    assert_type(stream.completed(), ObjectRef[None])
    ready, _ = ray.wait([stream, ray.put(1)])
    assert_type(ready, list[ObjectRef[Any] | ObjectRefGenerator[Any]])
    ray.cancel(stream)


async def taken() -> list[int]:
    return [await ref async for ref in numbers.remote(3)]
