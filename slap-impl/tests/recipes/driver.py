"""Runs profiles with zc.buildout, one after another, in one process.

A line of standard input is a JSON object: directory, file, overrides ([section, option, value]), parts, fork. A line of
standard output answers: {"error": TEXT or null}. With verify ([scheme, password, hash]), a hash is verified instead;
with options, the names of the options of [buildout] are the "error". Starting zc.buildout takes long, so a test keeps one such process.

SlapOS runs a fork of zc.buildout that no package registry has. With "fork", what its users rely on is added to zc.buildout
3.0.1 here: typed values, kept as the text `!py!` and a literal; `$${`, which reads as `${`; `_profile_base_location_`.
"""

import json
import logging
import os
import pprint
import sys
import traceback
import warnings

warnings.simplefilter("ignore")
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
os.umask(0o027)

import pkg_resources  # noqa: E402
import zc.buildout.buildout as engine  # noqa: E402
import zc.buildout.configparser  # noqa: E402
import zc.recipe.egg  # noqa: E402

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


def quiet_logging(self):
    self._logger = logging.getLogger("zc.buildout")
    self._log_level = logging.ERROR


engine.dumps = dumps
engine.Buildout._setup_logging = quiet_logging
engine.Buildout._maybe_upgrade = lambda self: None
logging.disable(logging.CRITICAL)
# The packages are here already: nothing is installed for a profile.
zc.recipe.egg.Egg.working_set = lambda self, extra=(): ([], pkg_resources.working_set)


def refuse(specifications, *arguments, **options):
    if not specifications:
        return pkg_resources.WorkingSet([])
    raise zc.buildout.UserError("not installed: %s" % (specifications,))


zc.buildout.easy_install.install = refuse


def forget():
    """What recipes remember for the time of a process."""
    template = sys.modules.get("slapos.recipe.template.jinja2_template")
    if template:
        template.compiled_source_cache.clear()
    library = sys.modules.get("slapos.recipe.librecipe.genericslap")
    if library:
        library.CONNECTION_CACHE.clear()


def run(job):
    speak(job["fork"])
    forget()
    path = list(sys.path)
    os.chdir(job["directory"])
    try:
        overrides = [tuple(override) for override in job["overrides"]]
        buildout = engine.Buildout(job["file"], overrides, False, "install", ())
        buildout.install(job["parts"])
    except (SystemExit, Exception) as error:
        if os.environ.get("SLAP_DRIVER_TRACE"):
            traceback.print_exc()
        return "%s: %s" % (type(error).__name__, error)
    finally:
        sys.path[:] = path
        os.chdir("/")
    return None


def verify(scheme, password, hashed):
    import passlib.hash

    return None if getattr(passlib.hash, scheme.replace("-", "_")).verify(password, hashed) else "does not verify"


for line in sys.stdin:
    job = json.loads(line)
    if "verify" in job:
        error = verify(*job["verify"])
    elif "options" in job:
        error = " ".join(sorted(engine._buildout_default_options))
    else:
        error = run(job)
    print(json.dumps({"error": error}), file=ANSWERS, flush=True)
