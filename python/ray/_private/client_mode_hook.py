"""Decorators of a time when calls could go to a remote client instead. There is none here: they leave functions as they are."""

from contextlib import contextmanager


def client_mode_hook(function):
    return function


def client_mode_wrap(function):
    """A function that runs as a task when it is called in a client; there is none, so it runs here."""
    return function


@contextmanager
def disable_client_hook():
    yield


@contextmanager
def enable_client_mode():
    raise RuntimeError("There is no client mode here: a driver is part of its cluster.")
    yield  # a generator, as the decorator wants


def client_mode_should_convert():
    return False


def is_client_mode_enabled():
    return False
