"""Round trips with xml_marshaller, as slapos.core uses it. A line of standard input is a JSON object, a line of standard output answers.

{"load": DOCUMENT} is loaded and dumped again: {"document": ..., "meaning": ...}. {"draw": SEED} makes a value of its own, all four classes
and things that stand in it twice among them, and answers like that. The meaning is a text without ids, equal for equal values.
"""

import importlib
import json
import random
import sys

from slapos.util import dumps, loads

# The package has a class of that name, too.
slap = importlib.import_module("slapos.slap.slap")

CHARACTERS = "abcxyz019 <>&'\";#\n\t-_/é漢😀"
CLASSES = [slap.Computer, slap.ComputerPartition, slap.SoftwareRelease, slap.SoftwareInstance]


def meaning(value):
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (meaning(k), meaning(value[k])) for k in sorted(value))
    if isinstance(value, (list, tuple)):
        return "%s(%s)" % (type(value).__name__, ", ".join(map(meaning, value)))
    if type(value) in CLASSES:
        return "%s%s" % (type(value).__name__, meaning(vars(value)))
    return "%s %r" % (type(value).__name__, value)


def text(chance):
    return "".join(chance.choice(CHARACTERS) for _ in range(chance.randrange(12)))


def values(chance, depth):
    drawn = [draw(chance, depth - 1) for _ in range(chance.randrange(4))]
    # A list or dictionary that stands there twice comes again as a reference.
    return drawn + [v for v in drawn if isinstance(v, (list, dict))] if chance.random() < 0.3 else drawn


def instance(chance, depth):
    kind = chance.choice(CLASSES)
    if kind is slap.Computer:
        made = kind(text(chance))
    elif kind is slap.ComputerPartition:
        made = kind(text(chance), text(chance))
    elif kind is slap.SoftwareRelease:
        made = kind(text(chance), text(chance))
    else:
        # CPython 3.11 writes one without attributes so that Python itself cannot read it.
        made = kind(**{"key%d" % n: draw(chance, depth - 1) for n in range(1 + chance.randrange(3))})
    for number, value in enumerate(values(chance, depth)):
        setattr(made, "attribute%d" % number, value)
    return made


def draw(chance, depth):
    kind = chance.randrange(5 if depth <= 0 else 10)
    if kind == 0:
        return None
    if kind == 1:
        return chance.random() < 0.5
    if kind == 2:
        return chance.choice([0, 1, -1, chance.randrange(-(2**70), 2**70)])
    if kind == 3:
        return chance.choice([0.0, -0.5, 1e300, chance.uniform(-1e6, 1e6)])
    if kind == 4:
        return text(chance)
    if kind == 5:
        return values(chance, depth)
    if kind == 6:
        return tuple(values(chance, depth))
    if kind == 7:
        return {text(chance): draw(chance, depth - 1) for _ in range(chance.randrange(4))}
    return instance(chance, depth)


for line in sys.stdin:
    job = json.loads(line)
    try:
        value = draw(random.Random(job["draw"]), 4) if "draw" in job else loads(job["load"].encode())
        document = dumps(value).decode()
        answer = {"document": document, "meaning": meaning(loads(document.encode()))}
    except Exception as error:
        answer = {"error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer), flush=True)
