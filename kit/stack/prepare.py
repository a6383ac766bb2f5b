"""Make the databases and buckets that a team's servers need, and wait for the servers first. Changes nothing else.

Written by `kit stack up`, which overwrites it. Needs psycopg and boto3, and not kit.
"""

import os
import sys
import time

DATABASES = ("kit", "mlflow")
BUCKETS = ("mlflow", "dvc")
PATIENCE = 120.0
"""Seconds."""


def prepare_databases(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        known = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in known:
                connection.execute(f"CREATE DATABASE {name}".encode())


def prepare_buckets(url: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    known = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in known:
            client.create_bucket(Bucket=name)


def main() -> int:
    end = time.monotonic() + PATIENCE
    steps = [(prepare_databases, os.environ["STACK_DATABASE"]), (prepare_buckets, os.environ["STACK_S3"])]
    while steps:
        step, url = steps[0]
        try:
            step(url)
            steps.pop(0)
        except Exception as error:  # noqa: BLE001 - of two libraries: whatever it is, it may pass
            if time.monotonic() > end:
                print(f"{step.__name__}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
                return 1
            time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
