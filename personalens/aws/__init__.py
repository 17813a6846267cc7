"""What boto3 sees: the operation router, the wire formats, the transports."""
