"""Every error of ours that a caller may want to catch; the command line prints it as one line and exits with 2.

::

    MultiMarginError
    ├── ArgumentError (ValueError)       an argument breaks its rule
    ├── DataError (ValueError)           a file or frame of interactions cannot be used
    │   └── UnknownIdError (KeyError)    an outside id that no vocabulary holds
    ├── NoNegativesError (ValueError)    a user has seen every item, nothing is left to draw
    ├── RecipeError (ValueError)         a recipe or an override cannot be turned into objects
    ├── CheckpointError (ValueError)     a run folder or saved model is missing, corrupt or of another recipe
    ├── DeviceError (RuntimeError)       the device asked for is not there
    └── DivergedError (ArithmeticError)  training left the finite numbers
"""


class MultiMarginError(Exception):
    """Base of all errors raised on purpose by this library."""


class ArgumentError(MultiMarginError, ValueError):
    """An argument breaks its rule: ``<argument> must <rule>; got <value>. <What to do.>``."""


class DataError(MultiMarginError, ValueError):
    """A file or frame of interactions cannot be used; the message names file and line where there is one."""


class UnknownIdError(DataError, KeyError):
    """An outside id that the vocabulary does not hold."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class NoNegativesError(MultiMarginError, ValueError):
    """A user has seen every item, so no negative can be drawn for them."""


class RecipeError(MultiMarginError, ValueError):
    """A recipe, or an override of one of its values, cannot be turned into objects."""


class CheckpointError(MultiMarginError, ValueError):
    """A run folder or a saved model is missing, corrupt, or was made by another recipe."""


class DeviceError(MultiMarginError, RuntimeError):
    """The device asked for is not there."""


class DivergedError(MultiMarginError, ArithmeticError):
    """A loss or metric is not a finite number any more."""
