"""Asks the emulator as the AWS CLI would: a JSON line {service, method, parameters, credentials?} in, {result} or {error} out.
Method names and parameters are botocore's."""

import json
import sys

import botocore.config
import botocore.exceptions
import botocore.response
import botocore.session

# One attempt: what is refused is shown as it is.
CONFIG = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=300)
session = botocore.session.get_session()


def plain(value):
    if isinstance(value, botocore.response.StreamingBody):
        return value.read().decode()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


for line in sys.stdin:
    request = json.loads(line)
    try:
        credentials = request.get("credentials")
        keys = {} if credentials is None else {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials.get("SessionToken"),
        }
        client = session.create_client(request["service"], config=CONFIG, **keys)
        answer = {"result": getattr(client, request["method"])(**request["parameters"])}
    except botocore.exceptions.ClientError as error:
        answer = {"error": error.response["Error"]}
    except Exception as error:
        answer = {"error": {"Code": type(error).__name__, "Message": str(error)}}
    print(json.dumps(answer, default=plain), flush=True)
