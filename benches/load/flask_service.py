"""An asynchronous resizing service of Flask, kafka-python, Pillow and MySQL, for the comparison.

It has the shape of the system that picresize follows: a request goes to Kafka, a consumer resizes it
and writes the result to MySQL, a look-up reads MySQL. `POST /api/` takes JSON and answers 201 with
an ID; `GET /api/ID` answers with the picture in base64, or with a status until it is there.

    gunicorn flask_service:app           the HTTP part
    python flask_service.py              a consumer

It reads KAFKA, TOPIC and MYSQL (mysql://user:password@host:port) from the environment. The database
and the topic must exist. Pillow decodes at a reduced size where it can, and the result has quality 80.
"""

import base64
import io
import json
import os
import threading
import uuid
from urllib.parse import urlparse

import pymysql
from flask import Flask, jsonify, request
from kafka import KafkaConsumer, KafkaProducer
from PIL import Image

KAFKA = os.environ["KAFKA"].split(",")
TOPIC = os.environ["TOPIC"]
MYSQL = urlparse(os.environ["MYSQL"])

app = Flask(__name__)
local = threading.local()
producer = None
producer_lock = threading.Lock()


def database():
    """A connection for each thread."""
    if not hasattr(local, "database"):
        local.database = pymysql.connect(
            host=MYSQL.hostname, port=MYSQL.port, user=MYSQL.username, password=MYSQL.password,
            database="flask_service", autocommit=True,
        )
    return local.database


def log():
    """The producer of this process. It is made after gunicorn's fork."""
    global producer
    with producer_lock:
        if producer is None:
            producer = KafkaProducer(bootstrap_servers=KAFKA, acks="all", max_request_size=64 << 20)
        return producer


@app.post("/api/")
def accept():
    body = request.get_json()
    identifier = str(uuid.uuid4())
    event = {"identifier": identifier, "image": body["image"], "width": body["width"], "height": body["height"]}
    log().send(TOPIC, json.dumps(event).encode(), key=identifier.encode()).get(timeout=30)
    return jsonify(identifier=identifier), 201, {"Location": f"/api/{identifier}"}


@app.get("/api/<identifier>")
def fetch(identifier):
    with database().cursor() as cursor:
        cursor.execute("SELECT image FROM pictures WHERE identifier = %s", (identifier,))
        row = cursor.fetchone()
    if row is None:
        return jsonify(identifier=identifier, status="queued")
    return jsonify(identifier=identifier, image=base64.b64encode(row[0]).decode())


def resize(source, width, height):
    picture = Image.open(io.BytesIO(source))
    kind = picture.format
    # `draft` and `reducing_gap` are what makes Pillow quick with large sources.
    picture.draft(None, (width, height))
    picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    # The number of the request, which Pillow would write into the result.
    picture.info.pop("comment", None)
    result = io.BytesIO()
    picture.save(result, kind, **({} if kind == "PNG" else {"quality": 80}))
    return result.getvalue()


def consume():
    consumer = KafkaConsumer(
        TOPIC, bootstrap_servers=KAFKA, group_id="flask-workers", auto_offset_reset="earliest",
        enable_auto_commit=False, max_poll_records=8, max_partition_fetch_bytes=8 << 20,
    )
    while True:
        for events in consumer.poll(timeout_ms=1000).values():
            for event in (json.loads(record.value) for record in events):
                source = base64.b64decode(event["image"])
                result = resize(source, int(event["width"]), int(event["height"]))
                with database().cursor() as cursor:
                    cursor.execute(
                        "INSERT IGNORE INTO pictures (identifier, image) VALUES (%s, %s)",
                        (event["identifier"], result),
                    )
            consumer.commit()


if __name__ == "__main__":
    consume()
