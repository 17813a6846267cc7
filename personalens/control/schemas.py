"""Schemas: immutable Avro texts that datasets refer to.

Amazon Personalize: CreateSchema, DescribeSchema, ListSchemas, DeleteSchema. They have no status:
what was accepted is there.
"""

from __future__ import annotations

from typing import Any

from personalens.arns import build
from personalens.control.descriptions import describe_resource, summarize_page
from personalens.control.quotas import check_quota
from personalens.control.resource_store import Resource
from personalens.control.service_context import ServiceContext
from personalens.datasets.avro_schemas import SchemaError, parse_schema
from personalens.service_errors import InvalidInputException, ResourceInUseException

KIND = "schema"


class SchemaOperations:
    """The schema operations of the control plane."""

    context: ServiceContext

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

    def describe_schema(self, *, schemaArn: str) -> dict[str, Any]:
        """Return a schema with its Avro text."""
        resource = self.context.store.require(schemaArn, KIND)
        return {"schema": describe_resource(resource, "schemaArn")}

    def list_schemas(
        self, *, nextToken: str | None = None, maxResults: int | None = None
    ) -> dict[str, Any]:
        """List the schemas of the region, oldest first."""
        page = self.context.store.page(KIND, nextToken=nextToken, maxResults=maxResults)
        return summarize_page(page, "schemas", "schemaArn", ["domain"])

    def delete_schema(self, *, schemaArn: str) -> dict[str, Any]:
        """Delete a schema that no dataset uses."""
        with self.context.store.transaction() as tx:
            tx.require(schemaArn, KIND)
            users = [d.arn for d in tx.list("dataset") if d.body["schemaArn"] == schemaArn]
            if users:
                raise ResourceInUseException(
                    f"Schema {schemaArn} is in use by {', '.join(users)}. Delete these first."
                )
            tx.delete(schemaArn)
        return {}
