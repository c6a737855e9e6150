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
    print("Starting a scheduler, an object store and ten workers ...")
    ray.services.start_ray_local(num_workers=10)

    print("\nImmutable remote objects")
    ref = ray.put([1, 2, 3])
    print("  ray.put([1, 2, 3]) ->", ref)
    print("  ray.get(ref)       ->", ray.get(ref))

    print("\nRemote functions")
    print("  ray.get(add.remote(1, 2))                   ->", ray.get(add.remote(1, 2)))
    print("  ray.get(add.remote(ray.put(1), ray.put(2))) ->", ray.get(add.remote(ray.put(1), ray.put(2))))
    try:
        add.remote(1, "two")
    except TypeError as error:
        print("  add.remote(1, 'two') fails at the call:")
        print("   ", error)

    print("\nTen tasks that sleep five seconds each")
    started = time.monotonic()
    result_refs = [sleep.remote(5) for _ in range(10)]
    print(f"  submitted in {(time.monotonic() - started) * 1e3:.1f} ms")
    results = [ray.get(ref) for ref in result_refs]
    print(f"  {results} after {time.monotonic() - started:.2f} s")
    ray.visualize_computation_graph(view=True)

    print("\nDependencies: the dot task waits for both zeros tasks")
    aref = zeros.remote([10, 10])
    bref = zeros.remote([10, 10])
    cref = dot.remote(aref, bref)
    print("  ray.get(cref).shape ->", ray.get(cref).shape)
    ray.visualize_computation_graph(view=True)


if __name__ == "__main__":
    main()
