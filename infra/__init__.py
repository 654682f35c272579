"""What the hub stands on: the CloudFormation template, and the local run of the same template."""
