"""The operations of the control plane, by kind, named as boto3 names them."""
