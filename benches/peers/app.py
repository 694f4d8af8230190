"""Ends sessions at Okta: a signed webhook becomes a Celery task on RabbitMQ, and the task calls the provider."""

import os

import requests
from celery import Celery
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from standardwebhooks import Webhook, WebhookVerificationError

OKTA = os.environ["OKTA_URL"]
webhook = Webhook(os.environ["WEBHOOK_SECRET"])

celery = Celery("app", broker=os.environ["BROKER_URL"])
celery.conf.update(
    # A task is acknowledged once it is done, and comes again if its worker dies before.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # A publish returns once the broker has the message on disk.
    task_default_delivery_mode="persistent",
    broker_transport_options={"confirm_publish": True},
    task_ignore_result=True,
)

# Keeps its connections; each worker process opens its own.
okta = requests.Session()
okta.trust_env = False
okta.headers.update({"accept": "application/json", "authorization": f"SSWS {os.environ['OKTA_TOKEN']}"})


@celery.task(autoretry_for=(requests.RequestException,), retry_backoff=True, retry_jitter=True, max_retries=10)
def end_sessions(account: str) -> None:
    user = f"{OKTA}/api/v1/users/{account}"
    found = okta.get(user, timeout=10)
    if found.status_code == 404:
        return
    found.raise_for_status()
    ended = okta.delete(f"{user}/sessions?oauthTokens=true&forgetDevices=false", timeout=10)
    ended.raise_for_status()


app = FastAPI()


@app.post("/v1/alerts/edr", status_code=202)
async def take(request: Request) -> dict[str, str]:
    try:
        alert = webhook.verify(await request.body(), dict(request.headers))
    except WebhookVerificationError:
        raise HTTPException(401) from None
    if alert["kind"] == "session_stolen" and alert["severity"] in ("high", "critical"):
        for subject in alert["subjects"]:
            await run_in_threadpool(end_sessions.delay, subject["ids"]["okta"])
    return {"status": "accepted"}
