"""config.toml: what the user wants to be otherwise; from files and from the environment.

Each setting is a line in settings.py. The command line goes before the environment, that before the
view that was saved, that before the user's file, and that before /etc/nettop.toml.
"""

from nettop.config.reading import Config, config_file, in_force, load, use
from nettop.config.template import template

__all__ = ["Config", "config_file", "in_force", "load", "template", "use"]
