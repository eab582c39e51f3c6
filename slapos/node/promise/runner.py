"""Loads and runs one promise of a SlapOS partition that is a plugin.

What is to be done is read from standard input, as JSON: config (what the promise is told), plugin (its file), anomaly and bang (the arguments of its run).
What came of it goes to standard output, as JSON: tested, anomaly, periodicity, ran, item (what the promise's result serializes to) and error.
"""
import sys

if sys.version_info < (3, 7):
    sys.exit("promises that are plugins need Python 3.7, and this is " + sys.version.split()[0])

import importlib.util
import json
import os
import traceback


class Results(object):
    """What a promise puts its result in."""

    item = None

    def put_nowait(self, item):
        self.item = item


def load(path):
    """The module of a file. What lies beside it can be imported by it."""
    sys.path.append(os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def promise_of(module, config):
    kind = getattr(module, "RunPromise", None)
    if not isinstance(kind, type):
        raise TypeError("it has no class RunPromise")
    for name in ("sense", "test", "anomaly", "run"):
        if not callable(getattr(kind, name, None)):
            raise TypeError("its RunPromise has no method " + name)
    for key, value in (getattr(module, "extra_config_dict", None) or {}).items():
        if key in config:
            raise ValueError("its extra_config_dict gives %r, which is given already" % key)
        config[key] = value
    return kind(config)


def work(job, answer):
    config, results = job["config"], Results()
    config["queue"] = results
    promise = promise_of(load(job["plugin"]), config)
    answer["tested"], answer["anomaly"] = bool(promise.isTested()), bool(promise.isAnomalyDetected())
    answer["periodicity"] = float(promise.getPeriodicity())
    if not answer["tested"] and not answer["anomaly"]:
        raise ValueError("it neither tests nor detects anomalies")
    if not answer["anomaly" if job["anomaly"] else "tested"]:
        return
    answer["ran"] = True
    promise.run(job["anomaly"], job["bang"])
    if results.item is not None:
        answer["item"] = results.item.serialize()


def main():
    job = json.load(sys.stdin)
    # What the promise prints, and what it starts, must not get into the answer.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.dont_write_bytecode = True
    answer = {}
    try:
        work(job, answer)
    except BaseException as e:  # a promise may also ask for the end of the interpreter
        traceback.print_exc()
        answer["error"] = "%s: %s" % (type(e).__name__, e)
    try:
        text = json.dumps(answer, default=str)
    except BaseException as e:
        text = json.dumps({"error": "its result cannot be read: %s" % e})
    out.write(text)
    out.flush()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(0)  # whatever threads it has left


main()
