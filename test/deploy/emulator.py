"""ministack with what it lacks for Kedge, each patch apart, and with a log of every decision of IAM.

KEDGE_PATCHES names the patches to apply; patches.deploy.test.ts shows that each is needed. Standard input keeps it
running: at its end the emulator ends too.
"""

import base64
import json
import os
import re
import signal
import sys
import threading

from cryptography.hazmat.primitives.asymmetric import mldsa
from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import kms, s3
from ministack.services.cloudformation import provisioners


def mldsa44():
    """KMS: keys of the spec ML_DSA_44, which sign by ML_DSA_SHAKE_256 (FIPS 204, pure)."""
    create, sign = kms._create_key, kms._sign

    def create_key(data):
        if data.get("KeySpec") != "ML_DSA_44":
            return create(data)
        before = set(kms._keys.keys())
        status, headers, body = create({**data, "KeySpec": "ECC_NIST_EDWARDS25519"})
        if status != 200:
            return status, headers, body
        (key_id,) = set(kms._keys.keys()) - before
        key = kms._keys[key_id]
        key["KeySpec"] = "ML_DSA_44"
        kms._set_asymmetric_material(key, mldsa.MLDSA44PrivateKey.generate())
        key["SigningAlgorithms"] = ["ML_DSA_SHAKE_256"]
        return kms.json_response({"KeyMetadata": kms._key_metadata(key)})

    def sign_message(data):
        key = kms._resolve_key(data.get("KeyId", ""))
        if not key or key.get("KeySpec") != "ML_DSA_44":
            return sign(data)
        refusal = kms._check_key_state(key) or kms._algorithm_error(
            key, data.get("SigningAlgorithm"), "SigningAlgorithms"
        )
        if refusal:
            return refusal
        if data.get("MessageType", "RAW") != "RAW":
            return kms.error_response_json("ValidationException", "RAW alone is emulated", 400)
        signature = key["_private_key"].sign(base64.b64decode(data["Message"]))
        return kms.json_response({
            "KeyId": key["Arn"],
            "Signature": base64.b64encode(signature).decode(),
            "SigningAlgorithm": "ML_DSA_SHAKE_256",
        })

    kms._create_key, kms._sign = create_key, sign_message


def object_lock():
    """CloudFormation: a bucket's Object Lock and its default retention."""
    apply = provisioners._s3_apply_configurations

    def apply_with_lock(name, props, old_props=None):
        apply(name, props, old_props)
        if str(props.get("ObjectLockEnabled")).lower() != "true":
            return
        rule = (props.get("ObjectLockConfiguration") or {}).get("Rule") or {}
        retention = "".join(f"<{k}>{v}</{k}>" for k, v in (rule.get("DefaultRetention") or {}).items())
        status, _, body = s3._put_object_lock_configuration(
            name,
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
            f"{retention}</DefaultRetention></Rule></ObjectLockConfiguration>".encode(),
        )
        if status >= 300:
            raise ValueError(f"object lock: {body}")

    provisioners._s3_apply_configurations = apply_with_lock


def metric_math():
    """CloudFormation: alarms of metric math. Their first metric stands for all of them."""
    record = provisioners._cw_metric_alarm_record

    def alarm(name, props):
        if props.get("Metrics"):
            first = next(metric["MetricStat"] for metric in props["Metrics"] if "MetricStat" in metric)
            props = {
                **{key: value for key, value in props.items() if key != "Metrics"},
                **first["Metric"],
                "Period": first["Period"],
                "Statistic": first["Stat"],
            }
        return record(name, props)

    provisioners._cw_metric_alarm_record = alarm


def partitions(operation, data):
    """The partition keys that a request to DynamoDB names, of a table whose partition key is called pk."""
    def of(key):
        return [next(iter(key["pk"].values()))] if "pk" in key else []

    if operation in ("GetItem", "DeleteItem", "UpdateItem"):
        return of(data.get("Key", {}))
    if operation == "PutItem":
        return of(data.get("Item", {}))
    if operation == "BatchGetItem":
        return [pk for table in data.get("RequestItems", {}).values() for key in table["Keys"] for pk in of(key)]
    if operation == "BatchWriteItem":
        return [
            pk
            for writes in data.get("RequestItems", {}).values()
            for write in writes
            for pk in of(write["PutRequest"]["Item"] if "PutRequest" in write else write["DeleteRequest"]["Key"])
        ]
    if operation == "Query":
        names, values = data.get("ExpressionAttributeNames", {}), data.get("ExpressionAttributeValues", {})
        equal = re.finditer(r"(#?\w+)\s*=\s*(:\w+)", data.get("KeyConditionExpression", ""))
        return [next(iter(values[m[2]].values())) for m in equal if names.get(m[1], m[1]) == "pk"]
    return []


def adding_context(of_request):
    """IAM: adds to the context keys of a request what `of_request(action, data)` returns."""
    context = iam_actions.request_tag_context

    def with_more(service, action, body, params):
        base = dict(context(service, action, body, params) or {})
        if service not in ("dynamodb", "kms"):
            return base
        return {**base, **of_request(action, json.loads(body or b"{}"))}

    iam_actions.request_tag_context = with_more


def leading_keys():
    """IAM: dynamodb:LeadingKeys."""
    def of_request(action, data):
        keys = partitions(action.split(":")[1], data) if action.startswith("dynamodb:") else []
        return {"dynamodb:LeadingKeys": sorted(set(keys))} if keys else {}

    adding_context(of_request)


def signing_keys():
    """IAM: kms:SigningAlgorithm and kms:MessageType."""
    adding_context(lambda action, data: {
        "kms:SigningAlgorithm": data.get("SigningAlgorithm"),
        "kms:MessageType": data.get("MessageType", "RAW"),
    } if action == "kms:Sign" else {})


def principal_arn():
    """IAM: aws:PrincipalArn of a role's session is the role's ARN, not the session's (IAM User Guide)."""
    resolve = iam_evaluator._resolve_condition_key

    def resolve_role(key, context):
        value = resolve(key, context)
        if key.lower() != "aws:principalarn" or not isinstance(value, str):
            return value
        session = re.fullmatch(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/(.+)/[^/]+", value)
        return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else value

    iam_evaluator._resolve_condition_key = resolve_role


PATCHES = {patch.__name__: patch for patch in (mldsa44, object_lock, metric_math, leading_keys, signing_keys, principal_arn)}


def log_decisions(path):
    """A JSON line for each decision: who, action, resource, and whether it was denied."""
    enforce = iam_evaluator.enforce
    log = open(path, "a", buffering=1)

    def enforce_and_log(access_key, action, service, region, resource_arn="*", service_context=None):
        refusal = enforce(access_key, action, service, region, resource_arn=resource_arn, service_context=service_context)
        principal = iam_evaluator.resolve_principal(access_key or "", get_account_id())
        who = getattr(principal, "arn", "anonymous")
        log.write(json.dumps({"who": who, "action": action, "resource": resource_arn, "denied": refusal is not None}) + "\n")
        return refusal

    iam_evaluator.enforce = enforce_and_log


def end_with_standard_input():
    def wait():
        sys.stdin.buffer.read()
        # The functions' workers are in this group too.
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    for name in filter(None, os.environ["KEDGE_PATCHES"].split(",")):
        PATCHES[name]()
    log_decisions(os.environ["KEDGE_DECISIONS"])
    # Else it takes port 443 as well, wherever it may.
    app._port_is_bindable = lambda *_: False
    end_with_standard_input()
    app.main()
