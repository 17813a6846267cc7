"""The self-checks of lab 14."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from personalens.notebook.checks import NotYet, check

from .answers import as_texts, described, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

_FORGED = {"InvalidSignatureException", "UnrecognizedClientException"}


@check("14a", hint="read server.log in the lab's folder: it says why the server did not start.")
def _serves(lab: LabSession, endpoints: dict[str, str], server: subprocess.Popen[str]) -> str:
    if server.poll() is not None:
        raise NotYet(f"the server has ended with status {server.returncode}.")
    if "AWS_ENDPOINT_URL_S3" not in endpoints:
        raise NotYet("the server has not named an address for S3.")
    return f"the server runs and has named {len(endpoints)} addresses."


@check("14b", hint="run the cells of section 2 again, from the top.")
def _sample(lab: LabSession, campaign_arn: str, job_arn: str, response: dict[str, Any]) -> str:
    found = described(lab.client.describe_campaign, "campaign", campaignArn=campaign_arn)
    require_active(found["campaign"], "the campaign")
    describe = lab.client.describe_dataset_import_job
    job = described(describe, "import job", datasetImportJobArn=job_arn)["datasetImportJob"]
    if not job["dataSource"]["dataLocation"].startswith("s3://"):
        raise NotYet("the import has not come from a bucket.")
    if not response["itemList"]:
        raise NotYet("the list is empty.")
    return f"from the bucket to {len(response['itemList'])} films."


@check("14c", hint="run section 4 again, with the server running.")
def _signed(lab: LabSession, forged: Any, signed: Any) -> str:
    signed.list_campaigns()
    try:
        forged.list_campaigns()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _FORGED:
            raise
        return "signed requests are answered, forged ones are not."
    raise NotYet("a request with a wrong secret was answered.")


@check("14d", hint="server.terminate(), then server.wait().")
def _stopped(lab: LabSession, server: subprocess.Popen[str]) -> str:
    if server.poll() is None:
        raise NotYet("the server still runs.")
    return "the server has ended."


@check("14.1", hint='boto3.client("personalize", endpoint_url=...)')
def _client(lab: LabSession, client: Any, endpoints: dict[str, str]) -> str:
    url = endpoints["AWS_ENDPOINT_URL_PERSONALIZE"]
    meta = getattr(client, "meta", None)
    if getattr(meta, "endpoint_url", None) != url:
        raise NotYet("that is not a client which is sent to the server.")
    if meta.service_model.service_name != "personalize":
        raise NotYet(f"that is a client of {meta.service_model.service_name}.")
    client.list_solutions()
    return "the client asks the server."


@check("14.2", hint="list_dataset_import_jobs in boto3 is list-dataset-import-jobs in the CLI.")
def _words(lab: LabSession, words: Any) -> str:
    given = words.split() if isinstance(words, str) else as_texts(words, "the command")
    if given != ["personalize", "list-dataset-import-jobs"]:
        raise NotYet(f"{' '.join(given) or 'nothing'} is another command.")
    return "the service, then the operation."
