"""CreateDatasetGroup, DescribeDatasetGroup, ListDatasetGroups, DeleteDatasetGroup."""

from __future__ import annotations

import pytest

from personalens.service_errors import InvalidInputException

ARN = "arn:aws:personalize:us-east-1:123456789012:dataset-group/films"
ROLE = "arn:aws:iam::123456789012:role/personalize"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234"


def test_a_group_is_active_at_the_first_describe(service):
    assert service.create_dataset_group(name="films") == {"datasetGroupArn": ARN}
    group = service.describe_dataset_group(datasetGroupArn=ARN)["datasetGroup"]
    assert group.pop("creationDateTime") == group.pop("lastUpdatedDateTime")
    assert group == {"name": "films", "datasetGroupArn": ARN, "status": "ACTIVE"}


def test_domain_role_and_key_are_shown(service):
    answer = service.create_dataset_group(
        name="films", domain="ECOMMERCE", roleArn=ROLE, kmsKeyArn=KEY
    )
    assert answer == {"datasetGroupArn": ARN, "domain": "ECOMMERCE"}
    group = service.describe_dataset_group(datasetGroupArn=ARN)["datasetGroup"]
    assert (group["domain"], group["roleArn"], group["kmsKeyArn"]) == ("ECOMMERCE", ROLE, KEY)
    (summary,) = service.list_dataset_groups()["datasetGroups"]
    assert summary["domain"] == "ECOMMERCE"
    assert "roleArn" not in summary


@pytest.mark.parametrize("given", [{"roleArn": ROLE}, {"kmsKeyArn": KEY}])
def test_a_role_without_a_key_or_a_key_without_a_role_is_refused(service, given):
    with pytest.raises(InvalidInputException, match="give both, or neither"):
        service.create_dataset_group(name="films", **given)
    assert service.list_dataset_groups() == {"datasetGroups": []}
