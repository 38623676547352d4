"""Asks slapproxy of slapos.core in this process, through its Flask application's test client.

A line of standard input is a JSON object, and a line of standard output answers it:
{"new": true} begins with an empty database; {"time": SECONDS, "method", "path", "body"} asks at that time. The answer to a
question is {"status", "body", "tables"}: all that the database holds, each table a list of rows.
"""

import json
import logging
import os
import sqlite3
import sys
import tempfile
import types
import warnings

warnings.simplefilter("ignore")
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
logging.disable(logging.CRITICAL)

import slapos.proxy  # noqa: E402
import slapos.proxy.db  # noqa: E402
from slapos.proxy import views  # noqa: E402
from slapos.proxy.db_version import DB_VERSION  # noqa: E402

FORM = "application/x-www-form-urlencoded"
TABLES = ("computer", "partition", "partition_network", "slave", "software")
NOW = [0.0]
# The only clock that slapproxy's decisions look at.
slapos.proxy.db.time = types.SimpleNamespace(time=lambda: NOW[0])


def begin(directory, number):
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    configuration = types.SimpleNamespace(
        computer_id="COMP-7",
        database_uri=os.path.join(directory, "proxy%d.db" % number),
        software_product_list={},
        multimaster={},
    )
    slapos.proxy.setupFlaskConfiguration(configuration)
    views.is_schema_already_executed = False
    return configuration.database_uri


def dump(path):
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row
    try:
        rows = {name: database.execute("SELECT * FROM %s%s ORDER BY rowid" % (name, DB_VERSION)) for name in TABLES}
        return {name: [dict(row) for row in found] for name, found in rows.items()}
    finally:
        database.close()


def ask(client, job):
    try:
        response = client.open(
            job["path"], method=job["method"], data=job["body"].encode(), content_type=FORM
        )
    except Exception as error:
        # It lets some exceptions through; a server answers so.
        return 500, repr(error)
    return response.status_code, response.get_data().decode()


def main():
    client = views.app.test_client()
    path, count = None, 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as directory:
        for line in sys.stdin:
            job = json.loads(line)
            if "new" in job:
                count += 1
                path = begin(directory, count)
                answer = {}
            else:
                NOW[0] = job["time"]
                status, body = ask(client, job)
                answer = {"status": status, "body": body, "tables": dump(path)}
            ANSWERS.write(json.dumps(answer) + "\n")
            ANSWERS.flush()


main()
