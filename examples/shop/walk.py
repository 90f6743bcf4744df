"""A customer of the shop, and the payment provider."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx

from examples.shop.app import STRIPE_SECRET
from examples.visit import expect, until


def walk(shop: httpx.Client) -> Iterator[str]:
    name, key = f"ada-{secrets.token_hex(4)}", secrets.token_hex(8)
    token = expect(shop.post("/session", json={"name": name}), 200).json()["access_token"]
    mine = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    bought = [expect(shop.post("/orders", json={"sku": "lamp"}, headers=mine), 201) for _ in range(2)]
    assert bought[0].json() == bought[1].json()
    order_id = bought[0].json()["order_id"]
    yield f"a lamp ordered twice under one key: one order, {order_id}"

    body = json.dumps(payment(order_id)).encode()
    expect(shop.post("/hooks/stripe", content=body, headers=signature(body + b" ")), 401)
    yield "a webhook that somebody else signed: 401"
    for _ in range(2):
        expect(shop.post("/hooks/stripe", content=body, headers=signature(body)), 200)
    yield "the provider's own, sent twice: 200 both times, handled once"

    until(lambda: shop.get(f"/orders/{order_id}", headers=mine).json()["status"] == "receipt sent")
    yield "the receipt's job went with the payment's transaction: receipt sent"
    kettle = {"sku": "kettle"}
    others = [shop.post("/orders", json=kettle, headers=mine | {"Idempotency-Key": f"{n}"}) for n in range(5)]
    assert [answer.status_code for answer in others] == [201, 201, 201, 429, 429]
    yield f"the sixth order of a minute: 429, Retry-After {others[-1].headers['Retry-After']} s"


def payment(order_id: int) -> dict[str, Any]:
    """What the provider sends, as far as the shop looks at it."""
    event = {"id": f"evt_{secrets.token_hex(8)}", "type": "payment_intent.succeeded"}
    return event | {"data": {"object": {"metadata": {"order_id": str(order_id)}}}}


def signature(body: bytes) -> dict[str, str]:
    moment = int(time.time())
    mac = hmac.digest(STRIPE_SECRET.encode(), f"{moment}.".encode() + body, "sha256").hex()
    return {"Stripe-Signature": f"t={moment},v1={mac}", "Content-Type": "application/json"}
