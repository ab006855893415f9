"""A stand-in for a Kubernetes cluster: what is posted to its API is kept and carried out here.

It answers the few requests of Snakemake's executor on a port of this machine. A job is started as
a process with its container's command, arguments and variables, where a kubelet would start a pod.
It proves what the manifests say and that the command in them does the work; not that any real
cluster would take them, pull the image or mount the volume.
"""

import base64
import json
import os
import re
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: here, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: me, user: {{}}}}]
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
"""

KINDS = {
    "jobs": {"apiVersion": "batch/v1", "kind": "Job"},
    "secrets": {"apiVersion": "v1", "kind": "Secret"},
}


class Cluster:
    """What was posted, by kind, and the processes that stand for the pods.

    Attributes:
        jobs: Manifests as they came, by name.
        secrets: Manifests that are there now, by name.
        image: Variables that the pods find set, as their image would.
        lose: How many of the first pods end at once, as if their node had gone.
        lost: Names of these.
    """

    def __init__(self, folder, image):
        self.folder, self.jobs, self.secrets, self.pods = Path(folder), {}, {}, {}
        self.image, self.lose = dict(image), 0
        self.lost = []
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, content, status=200):
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def body(self):
                return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def do_POST(self):
                found = re.fullmatch(r"/apis?/.*/namespaces/([^/]+)/(jobs|secrets)", self.path)
                body = self.body()
                assert found, self.path
                body = KINDS[found[2]] | body  # as the address says, where the body leaves it out
                getattr(cluster, found[2])[body["metadata"]["name"]] = body
                if found[2] == "jobs":
                    cluster.start(body, found[1])
                self.answer(body, 201)

            def do_GET(self):
                if name := re.search(r"/jobs/([^/?]+)/status", self.path):
                    self.answer(cluster.status(name[1]))
                elif re.search(r"/pods/[^/?]+/log\?.*previous=True", self.path):
                    # no container of ours is ever started twice
                    self.answer({"message": "previous terminated container not found"}, 400)
                else:
                    name = re.search(r"/pods\?labelSelector=job-name%3D([^&]+)", self.path)
                    assert name, self.path
                    self.answer({"items": cluster.pods_of(name[1])})

            def do_DELETE(self):
                self.body()
                cluster.secrets.pop(self.path.rsplit("/", 1)[-1], None)
                self.answer({"status": "Success"})

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.config = self.folder / "kubeconfig"
        self.config.write_text(CONFIG.format(port=self.server.server_port), encoding="utf-8")

    def start(self, manifest, namespace):
        """Start a job's container as a process."""
        name = manifest["metadata"]["name"]
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        if len(self.lost) < self.lose:
            self.lost.append(name)
            self.pods[name] = subprocess.Popen(["false"])
            return
        variables = {
            item["name"]: base64.b64decode(
                self.secrets[item["valueFrom"]["secretKeyRef"]["name"]]["data"][
                    item["valueFrom"]["secretKeyRef"]["key"]
                ]
            ).decode()
            for item in container.get("env") or []
        }
        log = (self.folder / f"{name}.log").open("w")
        scratch = tempfile.mkdtemp(dir=self.folder)  # every pod has a /tmp of its own
        with log:  # an empty folder is what the pod finds at its working directory
            self.pods[name] = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=tempfile.mkdtemp(dir=self.folder),
                env={"HOME": str(self.folder), "TMPDIR": scratch, **self.image, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def status(self, name):
        """A job with the state of its process."""
        code = self.pods[name].poll()
        state = {"active": 1} if code is None else {"failed" if code else "succeeded": 1}
        return self.jobs[name] | {"status": state}

    def pods_of(self, name):
        """The pod of a job with the state of its container; none where its node was lost."""
        if name in self.lost or name not in self.pods:
            return []
        code = self.pods[name].poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": abs(code)}}
        container = {"name": "snakemake", "image": "", "imageID": "", "restartCount": 0}
        return [
            {
                "metadata": {"name": f"{name}-pod"},
                "status": {"containerStatuses": [container | {"ready": True, "state": state}]},
            }
        ]

    def close(self):
        """Stop the server and what still runs."""
        self.server.shutdown()
        self.server.server_close()
        for process in self.pods.values():
            if process.poll() is None:
                os.killpg(process.pid, 9)
