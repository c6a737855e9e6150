"""What goes wrong when asking for the state of a cluster."""


class RayStateApiException(Exception):
    """The question cannot be answered."""


class ServerUnavailable(RayStateApiException):
    """There is nobody to ask."""
