"""A small base class for plugins, by the contract that a node has with them: what a software release has of its own."""
import datetime
import os


class Item(object):
    def __init__(self, promise, kind, failed, message):
        self.promise, self.kind, self.failed, self.message = promise, kind, failed, message

    def serialize(self):
        config = self.promise.config
        return {
            "title": os.path.splitext(config["name"])[0], "name": config["name"], "path": config["path"], "execution-time": 0.1,
            "result": {"type": self.kind, "failed": self.failed, "date": "2026-11-20T07:08:05+0000", "message": self.message},
        }


class Promise(object):
    tested, detects, period = True, True, 2

    def __init__(self, config):
        self.config = config
        self.lines = []

    def isTested(self):
        return self.tested

    def isAnomalyDetected(self):
        return self.detects

    def getPeriodicity(self):
        return self.config.get("periodicity", self.period)

    def fail(self, message):
        self.lines.append(message)

    def sense(self):
        raise NotImplementedError

    def test(self):
        return bool(self.lines), "\n".join(self.lines) or "all is well"

    anomaly = test

    def run(self, check_anomaly, can_bang):
        self.sense()
        failed, message = (self.anomaly if check_anomaly else self.test)()
        with open(os.path.join(self.config["log-folder"], os.path.splitext(self.config["name"])[0] + ".log"), "a") as log:
            log.write("%s - %s - 1 - %s\n" % (datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S"), "ERROR" if failed else "INFO", message))
        if failed and can_bang and self.config.get("bang-on-failure"):
            with open(os.path.join(self.config["partition-folder"], "bangs"), "a") as bangs:
                bangs.write(self.config["name"] + "\n")
        self.config["queue"].put_nowait(Item(self, "Anomaly Result" if check_anomaly else "Test Result", failed, message))
