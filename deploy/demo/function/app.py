"""Makes a thumbnail of each picture that is put into a bucket, and tells a topic. Plain Lambda code."""

import io
import json
import os
from typing import Any
from urllib.parse import unquote_plus

import boto3
from PIL import Image

s3 = boto3.client("s3")
sns = boto3.client("sns")

LARGEST = (64, 48)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    made = [make_thumbnail(record["s3"]) for record in event["Records"]]
    print("made", made)
    return {"thumbnails": made}


def make_thumbnail(source: dict[str, Any]) -> dict[str, Any]:
    bucket, key = source["bucket"]["name"], unquote_plus(source["object"]["key"])
    picture: Image.Image = Image.open(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    width, height = picture.size
    picture.thumbnail(LARGEST)

    out = io.BytesIO()
    picture.save(out, "PNG")
    target = f"{key.rsplit('.', 1)[0]}.png"
    s3.put_object(Bucket=os.environ["THUMBNAILS"], Key=target, Body=out.getvalue(), ContentType="image/png")

    about = {"key": target, "from": [width, height], "to": list(picture.size)}
    sns.publish(TopicArn=os.environ["TOPIC_ARN"], Subject="Thumbnail made", Message=json.dumps(about))
    return about
