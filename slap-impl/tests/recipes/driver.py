"""Runs profiles with zc.buildout, one after another, in one process.

A line of standard input is a JSON object: directory, file, overrides ([section, option, value]), parts, fork. A line of
standard output answers: {"error": TEXT or null}. With verify ([scheme, password, hash]), a hash is verified instead;
with options, the names of the options of [buildout] are the "error". Starting zc.buildout takes long, so a test keeps one such process.

With "fork", what SlapOS's fork adds to zc.buildout is there (golden/python/fork.py).
"""

import json
import logging
import os
import sys
import traceback
import warnings

warnings.simplefilter("ignore")
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
os.umask(0o027)

import pkg_resources  # noqa: E402
import zc.buildout.buildout as engine  # noqa: E402
import zc.recipe.egg  # noqa: E402

from slap_fork import dumps, speak  # noqa: E402


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
