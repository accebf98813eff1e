"""nettop: top for the kernel's network path."""

__version__ = "0.1.0"
