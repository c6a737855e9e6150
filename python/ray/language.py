"""The language of a task's code. Only Python runs here; the other names exist because programs compare with them."""


class Language:
    """A language; equal to another of the same number."""

    PYTHON: "Language"
    JAVA: "Language"
    CPP: "Language"

    def __init__(self, number):
        self._number = number

    def value(self):
        return self._number

    def __eq__(self, other):
        return isinstance(other, Language) and other._number == self._number

    def __hash__(self):
        return hash(self._number)

    def __repr__(self):
        return _NAMES[self._number]

    def __reduce__(self):
        return Language, (self._number,)


_NAMES = ("PYTHON", "JAVA", "CPP")
Language.PYTHON, Language.JAVA, Language.CPP = map(Language, range(3))
