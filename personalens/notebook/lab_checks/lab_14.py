"""The self-checks of lab 14."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from personalens.notebook.checks import NotYet, check
from personalens.notebook.lab_checks.answers import described, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


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
    job = lab.client.describe_dataset_import_job(datasetImportJobArn=job_arn)["datasetImportJob"]
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
    except ClientError:
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
    if getattr(getattr(client, "meta", None), "endpoint_url", None) != url:
        raise NotYet("that is not a client which is sent to the server.")
    try:
        client.list_solutions()
    except (ClientError, BotoCoreError, AttributeError) as error:
        raise NotYet(f"list_solutions fails: {error}.") from None
    return "the client asks the server."


@check("14.2", hint="list_dataset_import_jobs in boto3 is list-dataset-import-jobs in the CLI.")
def _words(lab: LabSession, words: Any) -> str:
    if list(words)[:2] != ["personalize", "list-dataset-import-jobs"]:
        raise NotYet(f"{words!r} is another command.")
    return "the service, then the operation."
