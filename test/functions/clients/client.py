"""What a tenant writes on a client that openapi-python-client generated as the package `kedge_client`."""

import json
import sys
from io import BytesIO

from kedge_client import AuthenticatedClient
from kedge_client.api.entries import append_entries, append_octets, get_entries, get_entry, get_proof, get_proofs
from kedge_client.api.log import get_log
from kedge_client.models import (
    Accepted,
    EntryStatus,
    LogState,
    NewEntries,
    ProofLine,
    ProofsRequest,
    StatusLine,
    StatusRequest,
)
from kedge_client.types import File

settings = json.load(sys.stdin)
log, hashes = settings["log"], settings["hashes"]
client = AuthenticatedClient(base_url=settings["url"], token=settings["apiKey"])


def post():
    accepted = append_entries.sync(log, client=client, body=NewEntries(hashes=hashes))
    assert isinstance(accepted, Accepted) and accepted.accepted == len(hashes), accepted
    octets = File(payload=BytesIO(bytes.fromhex("".join(hashes))))
    again = append_octets.sync(log, client=client, body=octets)
    assert isinstance(again, Accepted) and again.accepted == len(hashes), again
    return {"accepted": accepted.accepted}


def fetch():
    status = get_entry.sync(log, hashes[0], client=client)
    assert isinstance(status, EntryStatus), status
    many = get_entries.sync(log, client=client, body=StatusRequest(hashes=hashes))
    assert isinstance(many, str), many
    statuses = [StatusLine.from_dict(json.loads(line)) for line in many.splitlines()]
    named = get_log.sync(log, client=client)
    assert isinstance(named, LogState), named
    one = get_proof.sync(log, hashes[0], client=client)
    text = get_proofs.sync(log, client=client, body=ProofsRequest(hashes=hashes))
    assert isinstance(one, str) and isinstance(text, str), (one, text)
    lines = [ProofLine.from_dict(json.loads(line)) for line in text.splitlines()]
    return {
        "assurance": status.assurance.value,
        "statuses": [line.assurance.value for line in statuses],
        "origin": named.origin,
        "one": one,
        "proofs": [line.proof for line in lines],
    }


json.dump({"post": post, "fetch": fetch}[settings["step"]](), sys.stdout)
