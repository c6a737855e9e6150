"""What tests look at: the store's count of bytes."""

from ray import _core


def store_stats_summary():
    """str: how full the object store is."""
    stats = _core.store_stats()
    return (
        f"Object store: {stats['objects']} objects, {stats['used_bytes']:,} bytes in use, "
        f"{stats['reserved_bytes']:,} of {stats['capacity_bytes']:,} bytes reserved"
    )


def memory_summary(address=None, redis_password="", group_by="NODE_ADDRESS", sort_by="OBJECT_SIZE", units="B", **others):
    """str: how many objects there are, and what they take."""
    counts = _core.counters()
    rows = "\n".join(f"{name}: {number}" for name, number in sorted(counts.items()) if "object" in name)
    return f"{store_stats_summary()}\n{rows}"


def global_gc():
    """Collects garbage in this process."""
    import gc

    gc.collect()
