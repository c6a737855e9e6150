"""Empty, as it is today: `ray.internal.free` is gone. Objects go when nothing refers to them any more."""
