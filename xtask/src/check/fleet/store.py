"""Makes the bucket of an object store, or gets every object of it into a folder."""

import os
import sys

import boto3

endpoint, verb, folder = sys.argv[1:]
store = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
)
if verb == "make":
    store.create_bucket(Bucket="farm")
else:
    for page in store.get_paginator("list_objects_v2").paginate(Bucket="farm"):
        for entry in page.get("Contents", []):
            path = os.path.join(folder, entry["Key"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            store.download_file("farm", entry["Key"], path)
