"""Wrong programs: both checkers must complain about each line that says so, and about no other."""

from collections.abc import Iterator

import ray


@ray.remote
def add(a: int, b: int = 2) -> int:
    return a + b


@ray.remote(num_cpus=1)
def name(text: str, *, times: int = 1) -> str:
    return text * times


@ray.remote([int, int], [int])
def multiply(a: int, b: int) -> int:
    return a * b


@ray.remote
def numbers(n: int) -> Iterator[int]:
    yield from range(n)


class Counter:
    pass


CounterActor = ray.remote(Counter)


number, text = add.remote(1, 2), name.remote("x")
integer: int
string: str

add.remote(1, "x")  # wrong
add.remote("x")  # wrong
add.remote()  # wrong
add.remote(1, 2, 3)  # wrong
add.remote(1, c=2)  # wrong
add.remote(1, b="x")  # wrong
add.remote(text, 2)  # wrong
add.remote(1, text)  # wrong
add(1, 2)  # wrong
multiply.remote(1, "x")  # wrong
multiply.remote(number, text)  # wrong
multiply("x", 1)  # wrong
name.remote(number)  # wrong
name.remote("x", 2)  # wrong
add.options(num_cpus="two")  # wrong
add.options(num_cpu=2)  # wrong
add.options(num_cpus=1).remote("x")  # wrong
add.options(num_cpus=1).options(num_cpus=1)  # wrong
ray.remote(num_cpu=2)  # wrong
ray.remote(max_retries="3")  # wrong
string = ray.get(add.remote(1, 2))  # wrong
integer = ray.get(name.remote("x"))  # wrong
ray.get(3)  # wrong
ray.get((number, number))  # wrong
ray.get([number, 3])  # wrong
ray.get(number, timeout="1")  # wrong
ray.wait(number)  # wrong
ray.wait([number], num_returns="1")  # wrong
ray.cancel(3)  # wrong
string = ray.get(next(numbers.remote(1)))  # wrong
ray.get([numbers.remote(1)])  # wrong
ray.get(numbers.remote(1)) + 1  # wrong
integer = number + 1  # wrong
integer = number  # wrong
CounterActor()  # wrong
CounterActor.options(max_restart=1)  # wrong
CounterActor.options(max_retries=1)  # wrong
ray.kill(number)  # wrong
ray.get_actor(3)  # wrong
ray.nosuch()  # wrong
