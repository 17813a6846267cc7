"""Schemas: immutable Avro texts that datasets refer to.

Amazon Personalize: CreateSchema, DescribeSchema, ListSchemas, DeleteSchema. They have no status:
what was accepted is there.
"""

from __future__ import annotations

from typing import Any

from personalens.arns import build
from personalens.control.operations.kinds import KindOperations, check_quota
from personalens.datasets.avro_schemas import SchemaError, parse_schema
from personalens.service_errors import InvalidInputException
from personalens.storage.resource_store import Resource

KIND = "schema"


class SchemaOperations(KindOperations):
    """The schema operations of the control plane."""

    def create_schema(self, *, name: str, schema: str, domain: str | None = None) -> dict[str, Any]:
        """Check a schema by every rule of the service and keep it."""
        try:
            parsed = parse_schema(schema, domain=domain)
        except SchemaError as error:
            raise InvalidInputException(str(error)) from error
        body = {"schema": schema, "_datasetType": parsed.dataset_type.upper()}
        if domain is not None:
            body["domain"] = domain
        arn = build(KIND, name, region=self.context.region, account=self.context.account)
        with self.context.store.transaction() as tx:
            check_quota(tx, KIND)
            tx.insert(Resource(arn, KIND, name, body=body))
        return {"schemaArn": arn}
