"""Start the double the way Grafana starts: settings from GF_*, then provisioning, then HTTP."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from . import provisioning
from .server import Grafana, serve
from .store import Store


def main() -> int:
    # The first process of a container has no default action for signals.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("logger=grafana-double This is a double of Grafana, not Grafana: it serves tests and demonstrations.")
    environment = dict(os.environ)
    directory = Path(environment["GF_PATHS_PROVISIONING"])
    store = Store(
        Path(environment["GF_PATHS_DATA"]) / "grafana.db",
        environment.get("GF_SECURITY_ADMIN_USER") or "admin",
        environment.get("GF_SECURITY_ADMIN_PASSWORD") or "admin",
    )
    try:
        provisioned = provisioning.load(directory, environment)
        grafana = Grafana(
            environment["GRAFANA_DOUBLE_VERSION"], provisioned, store, lambda: provisioning.load(directory, environment)
        )
    except provisioning.ProvisioningError as error:
        print(f"logger=provisioning level=error Failed to provision: {error}", file=sys.stderr)
        return 1
    print(f"logger=provisioning {provisioned.summary()}")
    port = int(environment.get("GF_SERVER_HTTP_PORT") or 3000)
    print(f"logger=http.server HTTP Server Listen port={port}")
    serve(grafana, port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
