"""The tutorial, step by step: objects, remote functions, tasks in parallel, and the graph of what was computed."""

import time

import numpy as np

import ray


@ray.remote([int, int], [int])
def add(a, b):
    return a + b


@ray.remote([int], [int])
def sleep(n):
    time.sleep(n)
    return 0


@ray.remote([list], [np.ndarray])
def zeros(shape):
    return np.zeros(shape)


@ray.remote([np.ndarray, np.ndarray], [np.ndarray])
def dot(a, b):
    return np.dot(a, b)


def main():
    ray.services.start_ray_local(num_workers=10)

    ref = ray.put([1, 2, 3])
    print("ray.put([1, 2, 3]) gives", ref, "and ray.get of it", ray.get(ref))

    print("add.remote(1, 2) gives", ray.get(add.remote(1, 2)))
    assert ray.get(add.remote(1, ray.put(2))) == ray.get(add.remote(ray.put(1), ray.put(2))) == 3

    started = time.monotonic()
    result_refs = [sleep.remote(5) for _ in range(10)]
    print(f"ten tasks were submitted in {(time.monotonic() - started) * 1e3:.1f} ms")
    results = [ray.get(ref) for ref in result_refs]
    print(f"they slept 5 seconds each and took {time.monotonic() - started:.1f} s:", results)

    aref = zeros.remote([10, 10])
    bref = zeros.remote([10, 10])
    cref = dot.remote(aref, bref)
    print("dot of two arrays of zeros has shape", ray.get(cref).shape)

    ray.visualize_computation_graph(view=True)


if __name__ == "__main__":
    main()
