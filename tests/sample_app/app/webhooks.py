"""Notifications: posts to n8n's webhooks, in the background, so that n8n can never hold up the loop."""

from __future__ import annotations

import http.client
import json
import logging
import threading
from typing import Any
from urllib.parse import urlsplit

from app import settings
from app.stores import explain

log = logging.getLogger("app.webhooks")

TIMEOUT_SECONDS = 5


class Webhooks:
    def __init__(self) -> None:
        url = urlsplit(settings.text("N8N_URL", "http://n8n:5678"))
        try:
            host, port = url.hostname, url.port or 80
        except ValueError:
            host = None
        if url.scheme != "http" or not host:
            raise SystemExit("N8N_URL must look like http://n8n:5678.")
        self._host, self._port = host, port
        self._secret = settings.text("N8N_WEBHOOK_SECRET")

    def post(self, name: str, payload: dict[str, Any], success: str = "") -> None:
        """Post to `/webhook/<name>`; log `success` once n8n has taken it."""
        threading.Thread(target=self._post, args=(f"/webhook/{name}", payload, success), daemon=True).start()

    def _post(self, path: str, payload: dict[str, Any], success: str) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(
                "POST",
                path,
                body=json.dumps(payload).encode(),
                # As bytes: a secret may have any character, and http.client would refuse all but Latin-1.
                headers={"Content-Type": "application/json", "x-webhook-secret": self._secret.encode()},
            )
            status = connection.getresponse().status
            problem = "" if 200 <= status < 300 else f"HTTP {status}"
        except (OSError, http.client.HTTPException) as error:
            problem = explain(error)
        except ValueError:
            # Its text would quote the header, and with it the secret.
            problem = "N8N_WEBHOOK_SECRET has a line break or another character that no header can hold"
        finally:
            connection.close()
        if problem:
            log.error("[Notification] send failed (webhook %s): %s", path, problem)
        elif success:
            log.info(success)
