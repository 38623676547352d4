"""What SlapOS's fork of zc.buildout, which no package registry has, adds to zc.buildout 3.0.1 for its users.

Typed values, kept as the text `!py!` and a literal; `$${`, which reads as `${`; `_profile_base_location_`. It stands in the
environment as `slap_fork`; zc.buildout imports it at its end. `speak(True)` switches it on for the process that calls it; so does the
variable SLAP_FORK for a whole process, in which the packages of the environment then count as the eggs of every release, too.
"""

import os
import pprint

import zc.buildout.buildout as engine
import zc.buildout.configparser

MAGIC = "!py!"
NOTHING = object()
LITERALS = {"__builtins__": {}, "set": set, "frozenset": frozenset, "dict": dict, "list": list, "tuple": tuple, "str": str}
PLAIN_SAVE = engine._save_option
PLAIN_OPTIONS = engine.Options
PLAIN_PARSE = zc.buildout.configparser.parse


def dumps(value):
    text, readable, _ = pprint.PrettyPrinter().format(value, {}, 0, 0)
    if not readable:
        raise ValueError("no literal: %s" % text)
    return MAGIC + text.replace("$", "\\x24").replace(";", "\\x3b")


def loads(text):
    return eval(text[len(MAGIC):], LITERALS)


def final(stored):
    """What a reader gets of a stored text."""
    if not isinstance(stored, str):
        return stored
    text = stored.replace("$${", "${")
    return loads(text) if text.startswith(MAGIC) else text


class TypedOptions(engine.Options):
    def get(self, option, default=None, seen=None):
        stored = super().get(option, NOTHING, seen)
        if stored is NOTHING:
            return default
        # A reference (it says who asks) copies the text as it is stored.
        return final(stored) if seen is None else stored

    def __getitem__(self, option):
        try:
            # A recipe may have put a dictionary with a rule for missing keys in place.
            return final(self._data[option])
        except KeyError:
            pass
        value = self.get(option, NOTHING)
        if value is NOTHING:
            raise engine.MissingOption("Missing option: %s:%s" % (self.name, option))
        return value

    def __setitem__(self, option, value):
        super().__setitem__(option, value if isinstance(value, str) else dumps(value))

    def copy(self):
        copied = super().copy()
        return {k: loads(v) if v.startswith(MAGIC) else v for k, v in copied.items()}


def typed_save(option, value, file):
    PLAIN_SAVE(option, value if isinstance(value, str) else dumps(value), file)


def located(file, name, *arguments, **options):
    """A profile, whose sections are told where it lies if they ask."""
    sections = PLAIN_PARSE(file, name, *arguments, **options)
    for section in sections.values():
        if any("${:_profile_base_location_}" in value for value in section.values()):
            section["_profile_base_location_"] = os.path.dirname(name)
    return sections


def speak(fork):
    zc.buildout.configparser.parse = located if fork else PLAIN_PARSE
    engine.Options = engine.Buildout.Options = TypedOptions if fork else PLAIN_OPTIONS
    engine._save_option = typed_save if fork else PLAIN_SAVE
    engine.Buildout.Options = engine.Options


def installed(*arguments, **options):
    import pkg_resources

    return pkg_resources.working_set


if os.environ.get("SLAP_FORK"):
    import zc.buildout.easy_install

    engine.dumps = dumps
    speak(True)
    # Nothing is installed for a release: the packages are here already.
    zc.buildout.easy_install.install = zc.buildout.easy_install.working_set = installed
